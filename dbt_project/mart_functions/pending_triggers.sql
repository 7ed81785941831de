-- What a channel may show a customer or a device at a moment (null: the watermark, for data that is replayed). Consent,
-- quiet hours, expiry, answers and how often somebody has been contacted are looked at again. What is known to belong
-- to a customer is given for the customer only, whoever uses the device. Every look is written down.
create or replace function export.pending_triggers(
    reader text, channel text, customer text default null, visitor text default null,
    moment timestamptz default clock_timestamp()
)
returns table (
    trigger_id uuid, rule_id text, action text, message_id text, message_version integer, message jsonb,
    target_url text, created_at timestamptz, show_from timestamptz, expires_at timestamptz, dedupe_key text
)
language plpgsql volatile security definer rows 10
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    looked_at constant timestamptz := coalesce(moment, (select w.watermark_at from mart.watermark as w));
    business_time constant time := (looked_at at time zone mart.time_zone())::time;
begin
    insert into ops.access_log (user_name, object, customer_id, purpose)
    values (reader, 'export.trigger_queue', customer, channel);
    return query
    select
        q.trigger_id, q.rule_id, q.action, q.message_id, q.message_version,
        m.content - array['label', 'owner'], q.target_url, q.created_at, q.show_from, q.expires_at, q.dedupe_key
    from export.trigger_queue as q
    inner join mart.trigger as t on t.trigger_id = q.trigger_id
    inner join config.definition as r on r.kind = 'rules' and r.definition_id = t.rule_id and r.version = t.version
    left join config.definition as m
        on m.kind = 'messages' and m.definition_id = q.message_id and m.version = q.message_version
    cross join lateral (
        select (r.content #>> '{action,quiet_from}')::time, (r.content #>> '{action,quiet_to}')::time
    ) as quiet (begins, ends)
    where
        (q.customer_id = pending_triggers.customer
            or (q.customer_id is null and q.visitor_id = pending_triggers.visitor))
        and q.show_from <= looked_at
        and q.expires_at > looked_at
        and (
            quiet.begins is null
            or case
                when quiet.begins <= quiet.ends then business_time < quiet.begins or business_time >= quiet.ends
                else business_time < quiet.begins and business_time >= quiet.ends
            end
        )
        and coalesce(nullif(r.content #> '{action,channels}', '[]') ? pending_triggers.channel, true)
        and (
            t.purpose is null
            or exists (
                select from mart.consent as c
                where
                    c.customer_key = t.subject_key
                    and c.purpose = t.purpose
                    and c.is_granted
                    and c.valid_from <= looked_at
                    and c.valid_to > looked_at
            )
        )
    order by q.created_at, q.trigger_id;
end
$$;
revoke execute on function export.pending_triggers(text, text, text, text, timestamptz) from public;
grant execute on function export.pending_triggers(text, text, text, text, timestamptz) to jm_campaign;
