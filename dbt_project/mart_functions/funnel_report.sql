-- Entries of a funnel counted by step. `entries` is a relation with the columns of mart.funnel_entry, `funnel_id` the
-- funnel's name there, `definition` its content as config.definition keeps it. channel, domain and device are those of
-- the session of the entry; a segment is of customers (mart.entry_customer). breakdown_by: null, breakdown (the value
-- that the definition keeps), channel (of the session of the entry), or segment (one group per segment, in which
-- people may be several times). Of mart.funnel_entry without such limits mart.funnel_step has the sums by date already.
-- Not for readers: they call mart.funnel().
create or replace function mart.funnel_report(
    entries regclass, funnel_id text, definition jsonb, from_date date, to_date date, channel text, domain text,
    segment text, breakdown_by text, segments text[], device_type text
)
returns table (
    breakdown text, step_no integer, name text, entered bigint, converted bigint, dropped bigint, still_open bigint,
    from_previous double precision, from_first double precision, median_seconds double precision,
    amount_krw numeric(38, 2), tie_decided bigint
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    is_kept constant boolean := entries = 'mart.funnel_entry'::regclass
        and coalesce(breakdown_by, 'breakdown') = 'breakdown'
        and coalesce(channel, domain, segment, device_type) is null;
begin
    if funnel_report.breakdown_by not in ('breakdown', 'channel', 'segment') then
        raise exception 'breakdown_by must be breakdown, channel or segment, not %', funnel_report.breakdown_by
            using errcode = '22023';
    end if;
    return query execute format($sql$
        with step as (
            select
                s.step_no::integer as step_no,
                raw.funnel_step_name($1, s.step_no) as name,
                (s.step ->> 'optional')::boolean as is_optional,
                (s.step ->> 'has_amount')::boolean or $1 ->> 'order' = 'any' as has_amount,
                min(s.step_no) filter (where not (s.step ->> 'optional')::boolean) over (
                    order by s.step_no rows between 1 following and unbounded following
                )::integer as next_step_no
            from jsonb_array_elements($1 -> 'steps') with ordinality as s (step, step_no)
        ),

        member as materialized (
            select distinct s.segment_id, k.customer_key
            from unnest(coalesce($9, (select array_agg(g.segment_id) from mart.segment as g))) as s (segment_id)
            cross join lateral mart.segment_customers(s.segment_id) as k (customer_key)
            where $7 = 'segment'
        ),

        entry as (
            select e.*, g.group_name
            from %s as e
            cross join lateral mart.entry_customer(
                $1 ->> 'count_by', e.subject_key, e.visitor_key, e.started_at
            ) as p
            cross join lateral (
                select 'all' as group_name
                where $7 is null
                union all
                select e.breakdown
                where $7 = 'breakdown'
                union all
                select coalesce(max(a.channel), '(none)')
                from mart.session_fact as s
                inner join raw.agent as a on s.agent_key = a.agent_key
                where s.visitor_key = e.visitor_key and s.started_at = e.started_at
                having $7 = 'channel'
                union all
                select m.segment_id
                from member as m
                where m.customer_key = p.customer_key
            ) as g
            where
                not $11
                and e.funnel_id = $8
                and e.entry_date >= coalesce($2, '-infinity') and e.entry_date <= coalesce($3, 'infinity')
                and (
                    ($4 is null and $5 is null and $10 is null)
                    or exists (
                        select
                        from mart.session_fact as s
                        inner join raw.agent as a on s.agent_key = a.agent_key
                        where
                            s.visitor_key = e.visitor_key and s.started_at = e.started_at
                            and ($4 is null or a.channel = $4) and ($5 is null or a.domain = $5)
                            and ($10 is null or a.device_type = $10)
                    )
                )
                and (
                    $6 is null
                    or p.customer_key in (select c.customer_key from mart.segment_customers($6) as c (customer_key))
                )
        ),

        kept as materialized (
            select
                case when $7 is null then 'all' else f.breakdown end as breakdown,
                f.step_no,
                f.entered,
                f.converted,
                f.dropped,
                f.still_open,
                f.step_seconds,
                f.amount_krw,
                f.tie_decided
            from mart.funnel_step as f
            where
                $11
                and f.funnel_id = $8
                and f.entry_date >= coalesce($2, '-infinity') and f.entry_date <= coalesce($3, 'infinity')
        ),

        taken as (
            select
                e.group_name as breakdown,
                e.status,
                s.step_no,
                s.name,
                s.is_optional,
                e.step_times[s.step_no] is not null as is_taken,
                s.next_step_no is null or coalesce(e.step_times[s.next_step_no] is not null, false) as goes_on,
                extract(epoch from e.step_times[s.step_no] - coalesce(
                    e.step_times[s.step_no - 1],
                    (select max(t.moment) from unnest(e.step_times[1:s.step_no - 1]) as t (moment))
                )) as seconds,
                case when s.has_amount then e.step_rows[s.step_no] end as amount_row_id,
                e.is_tie_decided
            from entry as e
            cross join step as s
        ),

        counted as (
            select
                t.breakdown,
                t.step_no,
                t.name,
                t.is_optional,
                count(*) filter (where t.is_taken) as entered,
                count(*) filter (where t.is_taken and t.goes_on) as converted,
                count(*) filter (where t.is_taken and not t.goes_on and t.status = 'dropped') as dropped,
                count(*) filter (where t.is_taken and not t.goes_on and t.status = 'open') as still_open,
                percentile_cont(0.5) within group (order by t.seconds) filter (where t.is_taken) as median_seconds,
                coalesce(sum(f.amount_krw) filter (where t.is_taken), 0) as amount_krw,
                count(*) filter (where t.is_taken and t.is_tie_decided) as tie_decided
            from taken as t
            left join mart.transaction_fact as f on t.amount_row_id = f.row_id
            group by 1, 2, 3, 4
            union all
            select
                k.breakdown,
                s.step_no,
                s.name,
                s.is_optional,
                k.entered,
                k.converted,
                k.dropped,
                k.still_open,
                (
                    select percentile_cont(0.5) within group (order by t.seconds)
                    from kept as d
                    cross join unnest(d.step_seconds) as t (seconds)
                    where d.breakdown = k.breakdown and d.step_no = k.step_no
                ),
                k.amount_krw,
                k.tie_decided
            from (
                select
                    d.breakdown,
                    d.step_no,
                    sum(d.entered)::bigint as entered,
                    sum(d.converted)::bigint as converted,
                    sum(d.dropped)::bigint as dropped,
                    sum(d.still_open)::bigint as still_open,
                    sum(d.amount_krw) as amount_krw,
                    sum(d.tie_decided)::bigint as tie_decided
                from kept as d
                group by 1, 2
            ) as k
            inner join step as s on k.step_no = s.step_no
        )

        select
            c.breakdown,
            c.step_no,
            c.name,
            c.entered,
            c.converted,
            c.dropped,
            c.still_open,
            c.entered / nullif((
                select p.entered from counted as p
                where p.breakdown = c.breakdown and p.step_no < c.step_no and not p.is_optional
                order by p.step_no desc
                limit 1
            ), 0)::double precision,
            c.entered / nullif(first_value(c.entered) over (partition by c.breakdown order by c.step_no), 0)
                ::double precision,
            c.median_seconds::double precision,
            c.amount_krw::numeric(38, 2),
            c.tie_decided
        from (
            select * from counted
            union all  -- every step is there, even if nobody is
            select 'all', s.step_no, s.name, s.is_optional, 0, 0, 0, 0, null, 0, 0
            from step as s
            where $7 is null and not exists (select from counted)
        ) as c
        order by c.breakdown, c.step_no
    $sql$, entries) using
        definition, from_date, to_date, channel, domain, segment, breakdown_by, funnel_id,
        segments, device_type, is_kept;
end
$$;
revoke execute on function mart.funnel_report(
    regclass, text, jsonb, date, date, text, text, text, text, text[], text
) from public;
grant execute on function mart.funnel_report(
    regclass, text, jsonb, date, date, text, text, text, text, text[], text
) to jm_builder;
