{# build.detection_walk(rules, matches): the hits of every rule, by the semantics of docs/semantics.md.

   rules    one row per rule: int_detection__rule
   matches  what counts for the rules, a row per thing that happened: int_detection__match
   Returns a row per hit; and one of status open, with no hits after it, where what has happened does not decide yet.

   One pass in the total order of events. For each step a slot keeps the latest chain of events that takes the steps up
   to it; whatever an earlier chain can still become, the latest can as well, because it began later and its last event
   is later. So the walk needs no way back: it is linear in the matches and in nothing else. #}
{% macro detection_walk() %}
drop function if exists build.detection_walk(regclass, regclass);
create function build.detection_walk(rules regclass, matches regclass)
returns table (
    rule_id text, subject_key integer, hold_value text, row_id bigint, matched_at timestamptz, source_rank smallint,
    started_at timestamptz, detected_at timestamptz, due_rank smallint, due_row bigint, status text, is_censored boolean,
    taken text[]
)
language plpgsql stable
as $$
declare
    event record;
    rule record;
    known_rule text not null := '';
    known_subject integer;
    known_hold text;
    event_no integer not null := 0;   -- position in the history, from 1
    is_decided boolean not null := true;
    floor_at timestamptz;             -- nothing counts up to here in the total order
    floor_rank smallint;
    floor_row bigint;
    used_no integer;                  -- a match must begin after this one
    begun_no integer[];               -- by slot, null where it is empty: where the chain begins,
    begun_at timestamptz[];
    anchor_at timestamptz[];          -- when the step before was done (the last one that is not optional),
    last_at timestamptz[];            -- its last event,
    last_no integer[];
    chain text[];                     -- and all of them, as step:match_no
    place smallint;
    step integer;
    gap integer;
    source_slot integer;
    done_at timestamptz;
    candidate_done_at timestamptz;
    before integer;
    is_complete boolean;
    completed_no integer;
begin
    for event in execute format('select * from %s order by match_no', matches) loop
        if event.rule_id <> known_rule
            or event.subject_key <> known_subject or event.hold_value is distinct from known_hold then
            if event.rule_id <> known_rule then
                execute format('select * from %s where rule_id = $1', rules) into strict rule using event.rule_id;
                known_rule := event.rule_id;
            end if;
            known_subject := event.subject_key;
            known_hold := event.hold_value;
            begun_no := array_fill(null::integer, array[rule.slots]);
            begun_at := array_fill(null::timestamptz, array[rule.slots]);
            anchor_at := begun_at;
            last_at := begun_at;
            last_no := begun_no;
            chain := array_fill(null::text, array[rule.slots]);
            event_no := 0;
            floor_at := null;
            used_no := 0;
            is_decided := true;
        end if;
        -- what must be absent afterwards is no event of the pattern
        continue when event.places[1] = 0;
        event_no := event_no + 1;
        continue when not is_decided
            or (event.matched_at, event.source_rank, event.row_id) <= (floor_at, floor_rank, floor_row);
        completed_no := null;

        -- places: step n is 2n, what must not happen before it 2n + 1. Later steps come first, so that each of them sees
        -- what was before this event.
        foreach place in array event.places loop
            exit when place < 2;
            step := place / 2;
            if place % 2 = 1 then
                gap := step - 1;
                for slot in rule.first_slot[gap] + rule.at_least[gap] - 1 .. rule.first_slot[step] - 1 loop
                    begun_no[slot] := null;
                end loop;
                for slot in rule.first_slot[step] .. rule.first_slot[step] + rule.at_least[step] - 2 loop
                    begun_no[slot] := null;
                end loop;
                continue;
            end if;
            is_complete := false;
            for slot in reverse rule.first_slot[step + 1] - 1 .. rule.first_slot[step] loop
                source_slot := null;
                if slot > rule.first_slot[step] then
                    if begun_no[slot - 1] is not null then
                        source_slot := slot - 1;
                        done_at := anchor_at[source_slot];
                    end if;
                elsif step > 1 then
                    -- from the step before; an optional one may be left out, for a chain that began later
                    before := step - 1;
                    loop
                        for candidate in
                            rule.first_slot[before] + rule.at_least[before] - 1 .. rule.first_slot[before + 1] - 1
                        loop
                            continue when begun_no[candidate] is null
                                or (rule.is_strict and last_no[candidate] <> event_no - 1);
                            candidate_done_at := case
                                when rule.is_optional[before] then anchor_at[candidate] else last_at[candidate]
                            end;
                            if source_slot is null
                                or (begun_no[candidate], candidate_done_at) > (begun_no[source_slot], done_at) then
                                source_slot := candidate;
                                done_at := candidate_done_at;
                            end if;
                        end loop;
                        exit when not rule.is_optional[before];
                        before := before - 1;
                    end loop;
                    if rule.at_most[step] is not null then
                        -- what began with no such event so far goes on with one
                        for candidate in
                            rule.first_slot[step - 1] + rule.at_least[step - 1] - 1 .. rule.first_slot[step] - 1
                        loop
                            if candidate is distinct from source_slot then
                                begun_no[candidate] := null;
                            end if;
                        end loop;
                    end if;
                end if;

                if source_slot is null and (step > 1 or slot > rule.first_slot[1]) then
                    if rule.at_most[step] is not null then
                        begun_no[slot] := null;
                    end if;
                    continue;
                end if;
                if source_slot is null then
                    begun_no[slot] := event_no;
                    begun_at[slot] := event.matched_at;
                    done_at := event.matched_at;
                    chain[slot] := '1:' || event.match_no;
                elsif event.matched_at - begun_at[source_slot] > rule.time_window
                    or (rule.is_strict and last_no[source_slot] <> event_no - 1)
                    or (
                        slot >= rule.first_slot[step] + rule.at_least[step] - 1
                        and event.matched_at - done_at > rule.step_windows[step]
                    ) then
                    if rule.at_most[step] is not null then
                        begun_no[slot] := null;
                        if slot = rule.first_slot[step] then
                            begun_no[source_slot] := null;
                        end if;
                    end if;
                    continue;
                else
                    begun_no[slot] := begun_no[source_slot];
                    begun_at[slot] := begun_at[source_slot];
                    chain[slot] := chain[source_slot] || ',' || step || ':' || event.match_no;
                end if;
                anchor_at[slot] := done_at;
                last_at[slot] := event.matched_at;
                last_no[slot] := event_no;
                if source_slot is not null and slot = rule.first_slot[step] and rule.at_most[step] is not null then
                    begun_no[source_slot] := null;
                end if;
                is_complete := is_complete or slot = rule.slots;
            end loop;

            if is_complete and step = rule.steps and begun_no[rule.slots] > used_no then
                if event.verdict = 'open' then
                    is_decided := false;
                end if;
                if event.verdict <> 'broken' then
                    rule_id := event.rule_id;
                    subject_key := event.subject_key;
                    hold_value := event.hold_value;
                    row_id := event.row_id;
                    matched_at := event.matched_at;
                    source_rank := event.source_rank;
                    started_at := begun_at[rule.slots];
                    detected_at := event.due_at;
                    due_rank := event.due_rank;
                    due_row := event.due_row;
                    status := event.verdict;
                    is_censored := event.is_censored;
                    taken := string_to_array(chain[rule.slots], ',');
                    return next;
                    completed_no := begun_no[rule.slots];
                    exit when rule.after_match = 'past_last';
                end if;
            end if;
        end loop;

        if completed_no is not null then
            used_no := completed_no;
            if rule.after_match = 'past_last' then
                begun_no := array_fill(null::integer, array[rule.slots]);
                floor_at := event.due_at;
                floor_rank := event.due_rank;
                floor_row := event.due_row;
                used_no := event_no;
            else
                for slot in 1 .. rule.slots loop
                    if begun_no[slot] <= used_no then
                        begun_no[slot] := null;
                    end if;
                end loop;
            end if;
        end if;
    end loop;
end
$$;

-- Of the hits of one rule and person in the order of their times, those that are not too soon after another.
drop function if exists build.detection_cool(regclass, regclass);
create function build.detection_cool(rules regclass, hits regclass)
returns table (rule_id text, subject_key integer, hold_value text, row_id bigint)
language plpgsql stable
as $$
declare
    hit record;
    known_rule text not null := '';
    known_subject integer;
    reported_at timestamptz;
begin
    for hit in execute format(
        'select h.*, r.cooldown from %s as h inner join %s as r on h.rule_id = r.rule_id'
        ' order by h.rule_id, h.subject_key, h.detected_at, h.matched_at, h.source_rank, h.row_id', hits, rules
    ) loop
        if hit.rule_id <> known_rule or hit.subject_key <> known_subject then
            known_rule := hit.rule_id;
            known_subject := hit.subject_key;
            reported_at := null;
        end if;
        if hit.status = 'fires' then
            continue when hit.detected_at < reported_at + hit.cooldown;
            reported_at := hit.detected_at;
        end if;
        rule_id := hit.rule_id;
        subject_key := hit.subject_key;
        hold_value := hit.hold_value;
        row_id := hit.row_id;
        return next;
    end loop;
end
$$
{% endmacro %}

{# build.trigger_cap(allowed): of the hits of one rule and person in the order of their times, those that do not exceed
   how often something may be done. #}
{% macro trigger_cap() %}
create or replace function build.trigger_cap(allowed regclass)
returns table (rule_id text, subject_key integer, row_id bigint)
language plpgsql stable
as $$
declare
    hit record;
    known_rule text not null := '';
    known_subject integer;
    done timestamptz[];
begin
    for hit in execute format('select * from %s order by rule_id, subject_key, detected_at, evidence::text', allowed) loop
        if hit.rule_id <> known_rule or hit.subject_key <> known_subject then
            known_rule := hit.rule_id;
            known_subject := hit.subject_key;
            done := '{}';
        end if;
        if hit.cap_times is not null then
            -- the n-th last one must be long enough ago
            continue when hit.detected_at < done[cardinality(done) - hit.cap_times + 1] + hit.cap_window;
        end if;
        done := done || hit.detected_at;
        rule_id := hit.rule_id;
        subject_key := hit.subject_key;
        row_id := hit.row_id;
        return next;
    end loop;
end
$$
{% endmacro %}
