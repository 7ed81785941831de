-- Who looked at whom between two moments (null: no limit), for auditors; what channels ask for is left out. The ends of
-- customer numbers are left, by which one is followed through the log. A purpose may name customers, too: masked in the
-- same way are its words of five characters or more with a digit.
create or replace function mart.access_log(from_at timestamptz default null, to_at timestamptz default null)
returns table (
    accessed_at timestamptz, user_name text, object text, customer_key integer, customer_masked text, purpose text
)
language sql stable security definer rows 10000 set search_path = pg_catalog, pg_temp
as $$
    select
        a.accessed_at,
        a.user_name,
        a.object,
        k.customer_key,
        case
            when length(a.customer_id) > 4 then left(a.customer_id, 2) || '***' || right(a.customer_id, 2)
            when a.customer_id is not null then '***'
        end,
        regexp_replace(a.purpose, '\m(?=\w*\d)(\w\w)\w+(\w\w)\M', '\1***\2', 'g')
    from ops.access_log as a
    left join raw.customer as k on k.customer_id = a.customer_id
    where
        a.object <> 'export.trigger_queue'
        and a.accessed_at >= coalesce(access_log.from_at, '-infinity')
        and a.accessed_at < coalesce(access_log.to_at, 'infinity')
$$;
revoke execute on function mart.access_log(timestamptz, timestamptz) from public;
grant execute on function mart.access_log(timestamptz, timestamptz) to jm_auditor;
