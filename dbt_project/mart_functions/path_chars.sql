-- The characters by which a path names a node: one, unless nodes of several kinds share the code. Null for an error,
-- which is no node; 256 characters of its code or page count, as in mart.error_page. kind: page (also cleaned URL
-- paths), transaction, error, or null for any node.
create or replace function mart.path_chars(node text, kind text)
returns text
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
    chars text;
begin
    if path_chars.kind = 'error' then
        if not exists (select from raw.error as r where left(path_chars.node, 256) in (left(r.error_code, 256), left(r.error_page, 256))) then
            raise exception 'no error has the code or page %', quote_nullable(path_chars.node) using errcode = '22023';
        end if;
        return null;
    elsif path_chars.kind not in ('page', 'transaction') then
        raise exception 'kind must be page, error or transaction, not %', path_chars.kind using errcode = '22023';
    end if;
    select string_agg(raw.node_char(n.node_id), '' order by n.node_id)
    into chars
    from raw.node as n
    where
        n.node = path_chars.node
        and (path_chars.kind is null or (n.kind = 'transaction') = (path_chars.kind = 'transaction'));
    if chars is null then
        raise exception 'no % has the code %', coalesce(path_chars.kind, 'page or transaction'),
            quote_nullable(path_chars.node) using errcode = '22023';
    end if;
    return chars;
end
$$;
revoke execute on function mart.path_chars(text, text) from public;

-- A path in which nodes that share a code are one: all characters of `chars` become its first.
create or replace function mart.path_unified(path text, chars text)
returns text
language sql immutable parallel safe
as $$
    select case
        when length(chars) = 1 then path
        else translate(path, substr(chars, 2), repeat(left(chars, 1), length(chars) - 1))
    end
$$;
revoke execute on function mart.path_unified(text, text) from public;

-- Refuses an occurrence that is none.
create or replace function mart.path_occurrence(occurrence text)
returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    if path_occurrence.occurrence is null or path_occurrence.occurrence not in ('first', 'last', 'all') then
        raise exception 'occurrence must be first, last or all, not %', path_occurrence.occurrence
            using errcode = '22023';
    end if;
    return path_occurrence.occurrence;
end
$$;
revoke execute on function mart.path_occurrence(text) from public;

-- Refuses a number of steps out of range.
create or replace function mart.path_steps(name text, steps integer)
returns integer
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    if path_steps.steps is null or path_steps.steps not between 0 and 100 then
        raise exception '% must be between 0 and 100, not %', path_steps.name, path_steps.steps
            using errcode = '22023';
    end if;
    return path_steps.steps;
end
$$;
revoke execute on function mart.path_steps(text, integer) from public;

-- Refuses a time that is none, or longer than a year.
create or replace function mart.path_within(within interval)
returns interval
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    if path_within.within <= interval '0' or path_within.within > interval '366 days' then
        raise exception 'within must be longer than nothing and at most 366 days, not %', path_within.within
            using errcode = '22023';
    end if;
    return path_within.within;
end
$$;
revoke execute on function mart.path_within(interval) from public;
