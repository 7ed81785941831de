-- Sessions that come to a node (`chars`, from mart.path_chars) or meet an error (its code, or the code of the page that
-- it is about), and where in their path: the first time, the last, or every time. An error is where the session was
-- when it was shown. A plain SQL function: only the branch that is asked for remains in the query that calls it.
create or replace function mart.session_anchored(
    chars text, error text, occurrence text,
    from_date date, to_date date, agents integer[], customers integer[]
)
returns table (
    session_id uuid, visitor_key integer, started_at timestamptz, ended_at timestamptz, customer_key integer,
    path text, path_times timestamptz[], step_no integer
)
language sql stable parallel safe
as $$
    select
        s.session_id, s.visitor_key, s.started_at, s.ended_at, s.customer_key, s.path,
        s.path_times,
        case session_anchored.occurrence
            when 'first' then strpos(mart.path_unified(s.path, session_anchored.chars), left(session_anchored.chars, 1))
            else length(s.path) + 1 - strpos(
                reverse(mart.path_unified(s.path, session_anchored.chars)), left(session_anchored.chars, 1)
            )
        end
    from mart.session_selected(
        session_anchored.from_date, session_anchored.to_date, session_anchored.agents, session_anchored.customers
    ) as s
    where
        session_anchored.chars is not null
        and session_anchored.occurrence in ('first', 'last')
        and strpos(mart.path_unified(s.path, session_anchored.chars), left(session_anchored.chars, 1)) > 0
    union all
    select
        s.session_id, s.visitor_key, s.started_at, s.ended_at, s.customer_key, s.path,
        s.path_times,
        g.step_no::integer
    from mart.session_selected(
        session_anchored.from_date, session_anchored.to_date, session_anchored.agents, session_anchored.customers
    ) as s
    cross join lateral string_to_table(s.path, null) with ordinality as g (node_char, step_no)
    where
        session_anchored.chars is not null
        and session_anchored.occurrence = 'all'
        and strpos(mart.path_unified(s.path, session_anchored.chars), left(session_anchored.chars, 1)) > 0
        and strpos(session_anchored.chars, g.node_char) > 0
    union all
    select
        s.session_id, s.visitor_key, s.started_at, s.ended_at, s.customer_key, s.path,
        s.path_times,
        w.step_no
    from mart.session_selected(
        session_anchored.from_date, session_anchored.to_date, session_anchored.agents, session_anchored.customers
    ) as s
    cross join lateral (
        select
            p.step_no,
            row_number() over (order by p.step_no) as from_first,
            row_number() over (order by p.step_no desc) as from_last
        from (
            select distinct t.step_no
            from unnest(s.error_keys, s.error_steps) as t (error_key, step_no)
            where t.error_key = any(array(
                select r.error_key
                from raw.error as r
                where left(session_anchored.error, 256) in (left(r.error_code, 256), left(r.error_page, 256))
            ))
        ) as p
    ) as w
    where
        session_anchored.error is not null
        and s.error_keys && array(
            select r.error_key
            from raw.error as r
            where left(session_anchored.error, 256) in (left(r.error_code, 256), left(r.error_page, 256))
        )
        and case session_anchored.occurrence when 'first' then w.from_first when 'last' then w.from_last else 1 end = 1
$$;
revoke execute on function mart.session_anchored(text, text, text, date, date, integer[], integer[]) from public;
