-- What the applied rules do about a hit; only those that do anything.
select
    d.definition_id as rule_id,
    d.content #>> '{action,kind}' as action,
    d.content #>> '{action,message_id}' as message_id,
    d.content #>> '{action,target_url}' as target_url,
    d.content #>> '{action,purpose}' as purpose,
    make_interval(secs => (d.content #>> '{action,expires_seconds}')::double precision) as expires,
    (d.content #>> '{action,cap_times}')::integer as cap_times,
    make_interval(secs => (d.content #>> '{action,cap_seconds}')::double precision) as cap_window,
    (d.content #>> '{action,quiet_from}')::time as quiet_from,
    (d.content #>> '{action,quiet_to}')::time as quiet_to
from {{ source('config', 'definition') }} as d
where d.kind = 'rules' and d.retired_at is null and d.content -> 'action' <> 'null'
