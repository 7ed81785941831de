with {% include '_funnel_step.sql' %}

select step, funnel_id from named
