with {% include '_behaviour.sql' %}

select behaviour from behaviour
