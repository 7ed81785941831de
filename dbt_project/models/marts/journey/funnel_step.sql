{% set key = ['funnel_id', 'entry_date', 'segment_id', 'breakdown', 'step_no'] %}
{% set same_key -%}
    exists (
        select from build.funnel_step as b
        where {% for column in key %}b.{{ column }} = m.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    )
{%- endset %}
{% set has_entries -%}
    exists (
        select from build.funnel_step as f
        where
            f.step_no = 1 and f.entered > 0
            and {% for column in key[:-1] %}f.{{ column }} = b.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    )
{%- endset %}
{{ config(key=key, replaces=[same_key, is_of_retired('funnels', 'funnel_id')], keep=has_entries) }}
-- Everybody who enters takes the first step. What is published moves by the entries that this run adds and takes away.
-- depends_on: {{ ref('transaction_fact') }} {{ ref('funnel_entry') }}
{% set columns = [
    'funnel_id', 'version', 'entry_date', 'breakdown', 'status', 'step_times', 'step_rows', 'is_tie_decided'
] %}
with taken as (
    select
        e.sign,
        e.funnel_id,
        e.version,
        e.entry_date,
        e.breakdown,
        e.status,
        s.step_no,
        s.step_name,
        s.next_step_no is null or coalesce(e.step_times[s.next_step_no] is not null, false) as goes_on,
        case
            when s.step_no > 1
                then extract(
                    epoch from e.step_times[s.step_no]
                    - coalesce(
                        e.step_times[s.step_no - 1],
                        (select max(t.moment) from unnest(e.step_times[1:s.step_no - 1]) as t (moment))
                    )
                )::double precision
        end as seconds,
        -- looked up row by row: a join would compare every step with every transaction
        {%- set amount = '(select f.amount_krw from %s as f where f.row_id = e.step_rows[s.step_no])' %}
        case
            when s.has_amount and e.sign > 0 then {{ amount % ref('transaction_fact') }}
            {%- if not is_full() %}
            when s.has_amount then {{ amount % published('transaction_fact') }}
            {%- endif %}
        end as amount_krw,
        e.step_times[s.step_no] is not null as is_taken,
        e.is_tie_decided
    from (
        {%- for sign, entries in signed_rows('funnel_entry', columns | join(', ')) %}
        select
            {%- for column in columns %}
            c.{{ column }},
            {%- endfor %}
            {{ sign }} as sign
        from {{ entries }} as c
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    ) as e
    inner join {{ ref('int_funnel__step') }} as s on e.funnel_id = s.funnel_id
    -- `is true`: of joins the planner would expect a row or two, and compare everything with everything
    where
        (
            (e.funnel_id, e.entry_date) in (
                select
                    d.funnel_id,
                    d.entry_date
                from {{ ref('int_funnel__date') }} as d
            )
        ) is true
        and (
            (e.funnel_id, e.version) in (
                select
                    f.funnel_id,
                    f.version
                from {{ ref('int_funnel__definition') }} as f
            )
        ) is true
),

changed as (
    select
        funnel_id,
        version,
        entry_date,
        'all' as segment_id,
        breakdown,
        step_no,
        step_name,
        coalesce(sum(sign) filter (where is_taken), 0) as entered,
        coalesce(sum(sign) filter (where is_taken and goes_on), 0) as converted,
        coalesce(sum(sign) filter (where is_taken and not goes_on and status = 'dropped'), 0) as dropped,
        coalesce(sum(sign) filter (where is_taken and not goes_on and status = 'open'), 0) as still_open,
        array_agg(seconds) filter (where is_taken and seconds is not null and sign > 0) as come,
        array_agg(seconds) filter (where is_taken and seconds is not null and sign < 0) as gone,
        coalesce(sum(sign * amount_krw) filter (where is_taken), 0) as amount_krw,
        coalesce(sum(sign) filter (where is_taken and is_tie_decided), 0) as tie_decided
    from taken
    group by funnel_id, version, entry_date, breakdown, step_no, step_name
),

-- materialized, or the times would be sorted again for their median
told as materialized (
    select
        c.funnel_id,
        c.version,
        c.entry_date,
        c.segment_id,
        c.breakdown,
        c.step_no,
        c.step_name,
        {%- for counter in ['entered', 'converted', 'dropped', 'still_open', 'amount_krw', 'tie_decided'] %}
        c.{{ counter }}{{ '' if is_full() else ' + coalesce(m.' ~ counter ~ ', 0)' }} as {{ counter }},
        {%- endfor %}
        {{ times_left('m.step_seconds', 'c.come', 'c.gone') }} as step_seconds
    from changed as c
    {%- if not is_full() %}
    -- one by one: a plain join would read the whole table
    left join lateral (
        select * from {{ published('funnel_step') }} as o
        where
            o.version = c.version
            {%- for column in key %}
            and o.{{ column }} = c.{{ column }}
            {%- endfor %}
        offset 0
    ) as m on true
    {%- endif %}
)

select
    funnel_id,
    version,
    entry_date,
    segment_id,
    breakdown,
    step_no,
    step_name,
    entered::bigint as entered,
    converted::bigint as converted,
    dropped::bigint as dropped,
    still_open::bigint as still_open,
    (select percentile_cont(0.5) within group (order by t.seconds) from unnest(step_seconds) as t (seconds))
        as median_seconds,
    step_seconds,
    amount_krw::numeric(38, 2) as amount_krw,
    tie_decided::bigint as tie_decided
from told
