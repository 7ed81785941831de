{# build.funnel_walk(): the attempts of one subject at one funnel, by the semantics of docs/semantics.md.

   happened, bits  what counts for the funnel, in the total order of events: bit 0 … of the steps, bit 32 … of the
                   exclusions
   taken           place in `happened` of each step, null where it was not taken; for order any, of the 1st, 2nd, … step
   is_over         it cannot go on any more, whatever happens; otherwise it can until open_until (null: for ever)
   is_void         it met an exclusion, and the funnel drops the person
   Linear in the events for each step: where the next event of a kind is, is found once for all places. #}
{% macro funnel_walk() %}
create or replace function build.funnel_walk(
    happened timestamptz[], bits bigint[], is_optional boolean[], step_order text, time_window interval,
    step_windows interval[], entry text, by_attempt boolean, exclusion_mode text, exclusion_from integer[],
    exclusion_to integer[]
)
returns table (
    entry_place integer, reached integer, taken integer[], is_over boolean, is_void boolean, open_until timestamptz
)
language plpgsql immutable parallel safe
as $$
declare
    events constant integer not null := cardinality(happened);
    steps constant integer not null := cardinality(is_optional);
    exclusions constant integer not null := coalesce(cardinality(exclusion_from), 0);
    width constant integer not null := cardinality(is_optional) + coalesce(cardinality(exclusion_from), 0);
    all_steps constant bigint not null := (1::bigint << cardinality(is_optional)) - 1;
    required integer[] not null := '{}'; -- the required step after each step
    following integer[]; -- [place × width + kind]: the first place behind it of that kind
    last_place integer not null := cardinality(happened);
    start integer not null := 0;
    finished integer; -- the place at which an attempt ended
    window_end timestamptz;
    deadline timestamptz;
    step integer;
    next_step integer;
    place integer;
    before integer;
    optional_before integer;
    excluded integer;
    untaken bigint;
    between_place integer;
    score integer; -- how far an attempt gets: the furthest step that is not optional
    final integer;
    best_final integer;
    best_reached integer not null := 0;
    best_entry integer;
    best_taken integer[];
    best_over boolean;
    best_until timestamptz;
begin
    following := array_fill(events + 1, array[(events + 1) * width]);
    for place_before in reverse events - 1 .. 0 loop
        for kind in 1 .. width loop
            if (bits[place_before + 1] >> (case when kind <= steps then kind - 1 else 31 + kind - steps end)) & 1 = 1 then
                following[place_before * width + kind] := place_before + 1;
            else
                following[place_before * width + kind] := following[(place_before + 1) * width + kind];
            end if;
        end loop;
    end loop;
    next_step := steps + 1;
    for of_step in reverse steps .. 1 loop
        required[of_step] := next_step;
        if not is_optional[of_step] then
            next_step := of_step;
        end if;
    end loop;

    loop
        -- the next entry
        if step_order = 'any' then
            place := events + 1;
            for kind in 1 .. steps loop
                place := least(place, following[start * width + kind]);
            end loop;
            start := place;
        else
            start := following[start * width + 1];
        end if;
        exit when start > last_place;
        if exclusion_mode = 'end_person' and best_entry is null then
            for kind in steps + 1 .. width loop
                last_place := least(last_place, following[start * width + kind] - 1);
            end loop;
        end if;

        -- one attempt from there
        window_end := happened[start] + time_window;
        deadline := window_end;
        taken := array_fill(null::integer, array[steps]);
        taken[1] := start;
        reached := 1;
        is_over := false;
        is_void := false;
        finished := null;
        before := start;
        if step_order = 'any' then
            untaken := all_steps;
            untaken := untaken & ~(bits[start] & all_steps & -(bits[start] & all_steps));
            while untaken <> 0 loop
                place := events + 1;
                for kind in 1 .. steps loop
                    if (untaken >> (kind - 1)) & 1 = 1 then
                        place := least(place, following[before * width + kind]);
                    end if;
                end loop;
                excluded := events + 1;
                if exclusion_mode <> 'end_person' then
                    for kind in steps + 1 .. width loop
                        excluded := least(excluded, following[before * width + kind]);
                    end loop;
                end if;
                if excluded <= last_place and excluded <= place
                    and (window_end is null or happened[excluded] <= window_end) then
                    finished := excluded;
                    exit;
                end if;
                exit when place > last_place or happened[place] > window_end;
                untaken := untaken & ~(bits[place] & untaken & -(bits[place] & untaken));
                reached := reached + 1;
                taken[reached] := place;
                before := place;
            end loop;
            final := before;
        else
            step := 1;
            loop
                next_step := required[step];
                exit when next_step > steps;
                deadline := least(window_end, happened[before] + step_windows[next_step]);
                place := following[before * width + next_step];
                excluded := events + 1;
                if exclusion_mode <> 'end_person' then
                    for item in 1 .. exclusions loop
                        if exclusion_from[item] < next_step and exclusion_to[item] > step then
                            excluded := least(excluded, following[before * width + steps + item]);
                        end if;
                    end loop;
                end if;
                if step_order = 'strict' and place > before + 1 then
                    place := events + 1;
                end if;
                if step_order = 'strict' and excluded > before + 1 then
                    excluded := events + 1;
                end if;
                if place > last_place or happened[place] > deadline then
                    place := events + 1;
                end if;
                if excluded > last_place or excluded > place or happened[excluded] > deadline then
                    excluded := events + 1;
                end if;
                if excluded > events and step_order = 'strict' and place > before + 1 and before < last_place
                    and (deadline is null or happened[before + 1] <= deadline) then
                    finished := before; -- what came instead may be an entry
                    exit;
                end if;
                optional_before := before;
                for between_step in step + 1 .. next_step - 1 loop
                    between_place := following[optional_before * width + between_step];
                    if between_place < least(place, excluded, last_place + 1)
                        and (deadline is null or happened[between_place] <= deadline)
                        and (
                            step_windows[between_step] is null
                            or happened[between_place] <= happened[before] + step_windows[between_step]
                        )
                    then
                        taken[between_step] := between_place;
                        reached := between_step;
                        optional_before := between_place;
                    end if;
                end loop;
                if excluded <= events then
                    finished := excluded;
                    exit;
                end if;
                exit when place > events;
                step := next_step;
                taken[step] := place;
                reached := step;
                before := place;
            end loop;
            final := before;
        end if;
        if exclusion_mode = 'end_person' and reached < steps and finished is null and last_place < events
            and (deadline is null or happened[last_place + 1] <= deadline) then
            finished := last_place + 1;
        end if;

        entry_place := start;
        is_over := finished is not null;
        is_void := is_over and exclusion_mode = 'drop_person' and finished > before;
        open_until := case when reached < steps and not is_over then deadline end;
        if by_attempt then
            if not is_void then
                return next;
            end if;
            if finished is not null then
                start := finished;
            elsif reached = steps then
                start := final;
            else
                exit when deadline is null;
                start := final;
                while start < events and happened[start + 1] <= deadline loop
                    start := start + 1;
                end loop;
            end if;
        elsif entry = 'first' then
            return next;
            return;
        else
            -- of attempts that get equally far: the earliest entry, or the first to get there, from the latest entry
            score := case when step_order = 'any' then reached else step end;
            if not is_void and (
                score > best_reached
                or (entry = 'latest' and score = best_reached and final <= best_final)
            ) then
                best_reached := score;
                best_entry := start;
                best_final := final;
                best_taken := taken;
                best_over := is_over;
                best_until := open_until;
            end if;
            exit when best_reached = steps and (entry = 'best' or start >= best_final);
        end if;
    end loop;

    if best_entry is not null then
        entry_place := best_entry;
        taken := best_taken;
        reached := 0;
        for of_step in 1 .. steps loop
            if taken[of_step] is not null then
                reached := of_step;
            end if;
        end loop;
        is_over := best_over;
        is_void := false;
        open_until := best_until;
        return next;
    end if;
end
$$
{% endmacro %}
