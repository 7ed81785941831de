-- The warehouse before any run: schemas, landed tables, operational tables and who may do what.
-- Applied as jm_admin by `journeymart up`, in one transaction, and safe to apply again.
-- Tables of schemas staging, build and next belong to dbt; those of mart and export to publish.

set local client_min_messages = warning;
revoke create on schema public from public;
-- Nobody keeps anything beside the tables, where no erasure would look for it.
revoke execute on function lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) from public;

create schema if not exists raw;
create schema if not exists ops;
create schema if not exists config;
create schema if not exists staging authorization jm_builder;
create schema if not exists build authorization jm_builder;
create schema if not exists next authorization jm_builder;
create schema if not exists mart authorization jm_publisher;
create schema if not exists export authorization jm_publisher;

-- ───────────────────────────── raw: one row per landed line ─────────────────────────────
-- row_id = file_id << 32 | line_no addresses a line for ever.

create table if not exists raw.file (
    file_id          integer generated always as identity primary key,
    source           text not null,
    path             text not null,                -- relative to the landing zone
    sha256           text,                         -- of the bytes as landed
    bytes            bigint not null,
    modified_at      timestamptz not null,         -- with path and bytes: known files are not read again
    format           text not null,
    rows_read        bigint not null default 0,    -- lines with content, headers excluded
    rows_loaded      bigint not null default 0,
    rows_quarantined bigint not null default 0,
    rows_duplicate   bigint not null default 0,    -- the next three are written by publish
    rows_bot         bigint not null default 0,
    rows_mart        bigint not null default 0,
    totals           jsonb not null default '{}',  -- summed over loaded rows: {"amount": "123.45"}
    content_hash     numeric,                      -- sum of the line hashes of loaded rows (landing/targets.py)
    plan_hash        text,                         -- of the tracking plan that gave its lines their meaning
    declared         jsonb,                        -- the content of <file>.done
    first_event_at   timestamptz,
    last_event_at    timestamptz,
    status           text not null,
    error            text,                         -- why it was rejected
    repeat_of        integer references raw.file,  -- the file with the same content
    superseded_by    integer references raw.file,  -- the file that corrects it
    run_id           text not null,
    loaded_at        timestamptz not null default now(),
    publication_id   bigint,                       -- null until its rows are in mart
    removed_id       bigint,                       -- superseded, expired: the publication that took its rows away again
    cleared_at       timestamptz                   -- expired: when quarantine and archive had nothing of it any more
);
alter table raw.file
    add column if not exists rows_erased bigint not null default 0,  -- of customers who were erased (raw.erased_line)
    add column if not exists archived_sha256 text, -- of its bytes in the archive, once lines of it were erased there
    add column if not exists superseded_by integer references raw.file,
    add column if not exists removed_id bigint,
    add column if not exists cleared_at timestamptz,
    add column if not exists content_hash numeric,
    add column if not exists plan_hash text,
    alter column content_hash drop not null,
    alter column content_hash drop default,
    drop constraint if exists file_status_check,
    add constraint file_status_check check (
        status in ('loaded', 'repeated', 'rejected', 'superseded', 'expired')
    );
-- Landed before hashes were kept: unknown until `journeymart land --again` reads them from the archive.
update raw.file set content_hash = null where content_hash = 0 and rows_loaded > 0;
create unique index if not exists file_content on raw.file (source, sha256) where status = 'loaded';
drop index if exists raw.file_superseded, raw.file_unremoved;  -- of before files expired
create index if not exists file_past on raw.file (source, sha256) where status in ('superseded', 'expired');
create index if not exists file_leaving on raw.file (file_id)
where status in ('superseded', 'expired') and removed_id is null;
create index if not exists file_path on raw.file (source, path);
create index if not exists file_unpublished on raw.file (file_id) where publication_id is null and status = 'loaded';

create table if not exists raw.file_day (             -- loaded rows by the day they happened, in the business time zone
    file_id     integer not null references raw.file,
    happened_on date not null,
    rows_loaded bigint not null,
    primary key (file_id, happened_on)
);

create table if not exists raw.quarantine (
    file_id integer not null references raw.file,
    line_no bigint not null,
    source  text not null,
    field   text,
    reason  text not null,
    line    text,
    primary key (file_id, line_no)
);

create table if not exists raw.replay (               -- lines that left quarantine after a rule was corrected
    row_id         bigint primary key,
    field          text,                              -- why it had been there
    reason         text not null,
    run_id         text not null,
    replayed_at    timestamptz not null default now(),
    publication_id bigint                             -- null until its row is in mart
);
create index if not exists replay_unpublished on raw.replay (row_id) where publication_id is null;

create table if not exists raw.erased_line (          -- lines of customers who were erased: that there was a line is kept
    row_id         bigint primary key,
    erasure_id     bigint not null,                   -- ops.erasure
    is_rejected    boolean not null,                  -- it was in quarantine
    publication_id bigint                             -- null until it has left raw and mart
);
create index if not exists erased_line_unpublished on raw.erased_line (row_id) where publication_id is null;

-- A rejected line for those who may not see personal values: its shape and the keys of its JSON, nothing of its values.
create or replace function raw.masked(line text) returns text
    language sql immutable parallel safe
    return regexp_replace(left(line, 1000), '[[:alnum:]](?![^"]*"\s*:)', 'x', 'g');
-- A reason without the value it quotes.
create or replace function raw.without_values(reason text) returns text
    language sql immutable parallel safe
    return regexp_replace(reason, '''.*''', '…');
create or replace view raw.quarantine_masked as
select
    file_id,
    line_no,
    source,
    field,
    raw.without_values(reason) as reason,
    raw.masked(line) as line
from raw.quarantine;
create or replace view raw.replay_masked as
select
    row_id,
    field,
    raw.without_values(reason) as reason,
    run_id,
    replayed_at,
    publication_id
from raw.replay;

-- Dictionaries: append-only, filled by landing before the rows that use them.
create table if not exists raw.visitor (
    visitor_key integer generated always as identity primary key,
    visitor_id  text not null unique
);
create table if not exists raw.customer (
    customer_key integer generated always as identity primary key,
    customer_id  text not null unique
);
create table if not exists raw.node (                 -- what a path is made of
    node_id integer generated always as identity primary key,
    kind    text not null check (kind in ('page', 'url', 'transaction')),
    code    text not null,                            -- page_code, cleaned path, (none) or transaction_code
    node    text not null,                            -- its name in paths: see _node in landing/targets.py
    unique (kind, code, node)
);
do $$ begin
    if not exists (select from pg_attribute where attrelid = 'raw.node'::regclass and attname = 'node') then
        -- What has neither page code nor address was a page whose code is (none). Only here: now a page may be called so.
        update raw.node set kind = 'url' where kind = 'page' and code = '(none)';
        alter table raw.node add column
            node text not null generated always as (regexp_replace(code, '^(유입|이탈|기타)\**$', '\&*')) stored;
    end if;
    -- Until domains could have pages of their own, the code alone decided what a node is called.
    if exists (select from pg_attribute where attrelid = 'raw.node'::regclass and attname = 'node' and attgenerated = 's') then
        alter table raw.node
            alter column node drop expression,
            drop constraint if exists node_kind_code_key,
            add unique (kind, code, node);
    end if;
end $$;
create table if not exists raw.node_name (            -- names seen per node; the latest is shown
    node_id integer not null references raw.node,
    name    text not null,
    last_at timestamptz not null,
    primary key (node_id, name)
);
create table if not exists raw.agent (                -- channel, domain and device of an event
    agent_key    integer generated always as identity primary key,
    fingerprint  uuid not null unique,                -- md5 of the columns below
    channel      text not null,
    domain       text,
    os           text,
    device_type  text,
    device_model text,
    app_version  text,
    user_agent   text
);
create table if not exists raw.inflow (               -- where an event came from
    inflow_key      integer generated always as identity primary key,
    fingerprint     uuid not null unique,
    utm_source      text,
    utm_medium      text,
    utm_campaign    text,
    utm_term        text,
    utm_content     text,
    referrer_domain text
);
create table if not exists raw.error (
    error_key   integer generated always as identity primary key,
    fingerprint uuid not null unique,
    error_code  text,
    error_page  text
);
create table if not exists raw.action (
    action_id   smallint primary key,
    action_type text not null unique
);
insert into raw.action values
    (1, 'view'), (2, 'click'), (3, 'select'), (4, 'input'), (5, 'submit'),
    (6, 'popup'), (7, 'tab'), (8, 'scroll'), (9, 'error'), (10, 'exit')
on conflict do nothing;

-- A session's path is text, one character per node: CJK ideographs first, then the planes above.
create or replace function raw.node_char(node_id integer) returns text
    language sql immutable parallel safe -- not strict: only then is it inlined
    return chr(case when node_id < 35328 then 19968 + node_id else 30208 + node_id end);
create or replace function raw.char_node(node_char text) returns integer
    language sql immutable parallel safe -- not strict: only then is it inlined
    return case when ascii(node_char) < 55296 then ascii(node_char) - 19968 else ascii(node_char) - 30208 end;

-- Whether whoever asks may see the rows of a department. Reports see those that Superset names (superset_config.py; `*` is
-- all of them), and none when it names none; everybody else sees every row.
create or replace function raw.may_see_rows(owner text) returns boolean
    language sql stable parallel safe
    return session_user not in ('jm_report', 'jm_cs')
        or array[owner, '*'] && string_to_array(coalesce(current_setting('journeymart.departments', true), ''), ',');
grant execute on function raw.may_see_rows(text) to public;

-- A clickstream line is two rows: the narrow one is computed with, the wide one is looked up.
create table if not exists raw.event (
    row_id       bigint not null,
    event_at     timestamptz not null,
    event_hash   bigint not null,                     -- 64 bits of the md5 of event_id
    visitor_key  integer not null,
    customer_key integer,
    node_id      integer not null,
    agent_key    integer not null,
    inflow_key   integer,                             -- null when nothing is known
    error_key    integer,
    action_id    smallint not null
);
create table if not exists raw.clickstream (
    row_id         bigint not null,
    event_id       text not null,
    received_at    timestamptz,
    tag_session_id text,                              -- the tag's own session_id
    page_name      text,
    page_url       text,
    referrer_url   text,
    click_text     text,
    click_name     text,
    checkbox       text,
    popup_name     text,
    tab_name       text,
    step_position  text,
    exit_menu      text,
    ip             text,
    properties     jsonb
);

-- Built at once, these indexes cost a fifth of what they cost row by row: a load that outweighs the tables drops them
-- first (see landing/indexes.py). Every load and every `up` sees to it that they are there.
create or replace function raw.create_event_indexes() returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    set maintenance_work_mem = '256MB' as $$ -- beside the loader's own memory; what is sorted grows with the tables
begin
    -- one of several loaders builds them; the others wait for it
    perform pg_advisory_xact_lock(hashtext('journeymart.event_indexes'));
    if to_regclass('raw.event_row') is null then
        create unique index if not exists event_row on raw.event (row_id);
    end if;
    if to_regclass('raw.event_hash') is null then
        create index if not exists event_hash on raw.event (event_hash);
    end if;
    if to_regclass('raw.clickstream_row') is null then
        create unique index if not exists clickstream_row on raw.clickstream (row_id);
    end if;
end $$;
create or replace function raw.drop_event_indexes() returns void
    language sql security definer set search_path = pg_catalog, pg_temp
    set lock_timeout = '2s' as $$
    drop index if exists raw.event_row, raw.event_hash, raw.clickstream_row;
$$;
revoke execute on function raw.create_event_indexes(), raw.drop_event_indexes() from public;
select raw.create_event_indexes();

create table if not exists raw.transactions (
    row_id         bigint primary key,
    transaction_id text not null,
    transacted_at  timestamptz not null,
    customer_key   integer not null,
    node_id        integer not null,                  -- its transaction_code
    channel        text,
    result_code    text,
    amount         numeric(20, 4),
    currency       text,
    visitor_key    integer,
    tag_session_id text,
    fields         jsonb,
    properties     jsonb
);
create index if not exists transactions_id on raw.transactions (transaction_id);
create index if not exists transactions_customer on raw.transactions (customer_key, transacted_at);
create index if not exists transactions_visitor on raw.transactions (visitor_key, transacted_at);

create table if not exists raw.customers (
    row_id                bigint primary key,
    customer_key          integer not null,
    effective_date        date,
    birth_year            integer,
    gender                text,
    region                text,
    grade                 text,
    investment_propensity text,
    joined_on             date,
    attributes            jsonb,
    properties            jsonb
);
create index if not exists customers_customer on raw.customers (customer_key);

create table if not exists raw.consultations (
    row_id          bigint primary key,
    consultation_id text not null,
    customer_key    integer not null,
    consulted_at    timestamptz not null,
    channel         text,
    category        text,
    result          text,
    agent_team      text,
    properties      jsonb
);
create index if not exists consultations_customer on raw.consultations (customer_key, consulted_at);
create index if not exists consultations_id on raw.consultations (consultation_id);

create table if not exists raw.campaign_sends (
    row_id       bigint primary key,
    send_id      text not null,
    customer_key integer not null,
    sent_at      timestamptz not null,
    campaign_id  text not null,
    channel      text,
    message_id   text,
    result       text,
    opened_at    timestamptz,
    clicked_at   timestamptz,
    properties   jsonb
);
create index if not exists campaign_sends_customer on raw.campaign_sends (customer_key, sent_at);
create index if not exists campaign_sends_id on raw.campaign_sends (send_id);

create table if not exists raw.subscriptions (
    row_id          bigint primary key,
    subscription_id text not null,
    customer_key    integer not null,
    subscribed_at   timestamptz not null,
    product_code    text not null,
    product_name    text,
    status          text,
    ended_at        timestamptz,
    channel         text,
    properties      jsonb
);
create index if not exists subscriptions_customer on raw.subscriptions (customer_key, subscribed_at);
create index if not exists subscriptions_id on raw.subscriptions (subscription_id);

create table if not exists raw.survey_responses (
    row_id       bigint primary key,
    response_id  text not null,
    responded_at timestamptz not null,
    customer_key integer,
    visitor_key  integer,
    rule_id      text,
    answers      jsonb,
    properties   jsonb
);
create index if not exists survey_responses_customer on raw.survey_responses (customer_key, responded_at);
create index if not exists survey_responses_id on raw.survey_responses (response_id);

create table if not exists raw.consents (
    row_id       bigint primary key,
    customer_key integer not null,
    purpose      text not null,
    is_granted   boolean not null,
    effective_at timestamptz not null,
    properties   jsonb
);
create index if not exists consents_customer on raw.consents (customer_key, purpose, effective_at);

-- What reports call a step of a funnel: its name; in any order, how many steps were taken, in the language in which the
-- funnel names its steps.
create or replace function raw.funnel_step_name(content jsonb, step_no bigint) returns text
    language sql immutable parallel safe
    return case
        when content ->> 'order' <> 'any' then content #>> array['steps', (step_no - 1)::text, 'name']
        when jsonb_path_query_array(content, '$.steps[*].name')::text ~ '[가-힣]' then step_no || '개 단계'
        when step_no = 1 then '1 step'
        else step_no || ' steps'
    end;

-- Periods of cohorts: where the period of a date begins, and its number, so that ages are differences. Floating point,
-- because numeric takes several times as long, for every day of everyone.
create or replace function raw.period_start(period text, day date) returns date
    language sql immutable parallel safe -- not strict: only then is it inlined
    return date_trunc(period, day::timestamp)::date;
create or replace function raw.period_no(period text, day date) returns integer
    language sql immutable parallel safe -- not strict: only then is it inlined
    return case period
        when 'day' then day - date '2000-01-03'
        when 'week' then floor((day - date '2000-01-03') / 7::double precision)::integer  -- a Monday
        when 'month' then (date_part('year', day) * 12 + date_part('month', day))::integer
    end;

-- Who belongs to which period of a cohort (age null), and at which ages they return: what reports count. `days` is a
-- relation with the columns of mart.cohort_day. Ages stop at `ages`; an unbounded report has the last age only.
create or replace function raw.retention_person(
    days regclass, cohort text, period text, mode text, entry text, ages integer, brackets integer[] default '{}',
    as_of date default null
) returns table (person_key integer, cohort_start date, age integer)
    language plpgsql stable as $$
begin
    return query execute format($sql$
        with active as materialized (
            select
                d.person_key,
                raw.period_no($2, d.active_date) as period_no,
                min(d.active_date) filter (where d.is_start) as start_date,
                max(d.active_date) filter (where d.is_return) as return_date,
                min(d.active_date) filter (where d.is_start and d.returns_later) as returned_date
            from %s as d
            where d.cohort_id = $1 and ($7 is null or d.active_date <= $7)
            group by 1, 2
        ),

        member as (
            select
                a.*,
                -- in the period of the start, only what comes after the first start is a return
                coalesce(a.return_date > a.start_date or a.returned_date = a.start_date, false) as returns_at_once
            from (
                select
                    x.*,
                    min(x.period_no) filter (where x.start_date is not null) over person as first_no,
                    max(x.period_no) filter (where x.return_date is not null) over person as last_no
                from active as x
                window person as (partition by x.person_key)
            ) as a
            where a.start_date is not null and ($4 = 'every' or a.period_no = a.first_no)
        ),

        returned as (
            select m.person_key, m.start_date, 0 as age
            from member as m
            where m.returns_at_once and ($3 <> 'unbounded' or m.last_no = m.period_no)
            union all
            select m.person_key, m.start_date, a.period_no - m.period_no
            from member as m
            inner join active as a
                on
                    a.person_key = m.person_key
                    and a.return_date is not null
                    and a.period_no between m.period_no + 1 and m.period_no + $5
            where $3 <> 'unbounded'
            union all
            select m.person_key, m.start_date, least(m.last_no - m.period_no, $5)
            from member as m
            where $3 = 'unbounded' and m.last_no > m.period_no
        )

        select m.person_key, raw.period_start($2, m.start_date), null::integer
        from member as m
        union all
        select distinct
            r.person_key,
            raw.period_start($2, r.start_date),
            case when $3 = 'bracket' then (array_prepend(0, $6))[width_bucket(r.age, $6) + 1] else r.age end
        from returned as r
    $sql$, days) using cohort, period, mode, entry, ages, brackets, as_of;
end $$;

-- The ages that a report shows when `reached` periods have begun since the start of a cohort: each age, or the first
-- age of each bracket, with its last age. An age is over once a later period has begun.
create or replace function raw.retention_age(mode text, ages integer, brackets integer[], reached integer)
    returns table (age integer, is_complete boolean)
    language sql immutable parallel safe
    begin atomic
        select s.first_age, lead(s.first_age, 1, ages + 1) over (order by s.first_age) - 1 < reached
        from generate_series(0, least(ages, reached)) as s (first_age)
        where mode <> 'bracket' or s.first_age = any(brackets || 0);
    end;

-- How each person who ever starts is doing in each period: new, returning (also active in the period before),
-- resurrecting (active again after a pause) or dormant (no longer active in the period after).
create or replace function raw.lifecycle_person(days regclass, cohort text, period text, as_of date default null)
    returns table (person_key integer, period_start date, status text)
    language plpgsql stable as $$
begin
    return query execute format($sql$
        with active as (
            select
                d.person_key,
                raw.period_no($2, d.active_date) as period_no,
                raw.period_start($2, min(d.active_date)) as period_start
            from %s as d
            where d.cohort_id = $1 and d.is_start and ($3 is null or d.active_date <= $3)
            group by 1, 2
        ),

        beside as (
            select
                a.*,
                a.period_no - lag(a.period_no) over history as since,
                lead(a.period_no) over history - a.period_no as until
            from active as a
            window history as (partition by a.person_key order by a.period_no)
        )

        select
            b.person_key,
            b.period_start,
            case when b.since is null then 'new' when b.since = 1 then 'returning' else 'resurrecting' end
        from beside as b
        union all
        select b.person_key, (b.period_start + ('1 ' || $2)::interval)::date, 'dormant'
        from beside as b
        where b.until is distinct from 1
    $sql$, days) using cohort, period, as_of;
end $$;
-- The sum of the line hashes of rows (landing/targets.py), worked out from what is stored.
create or replace function raw.stored_hash(source text, first_row bigint, last_row bigint) returns numeric
    language sql stable parallel safe
    return case
        when source = 'clickstream' then (
            select sum(
                int8xor(
                    int8xor(r.event_hash, (extract(epoch from r.event_at) * 1000000)::bigint), r.row_id & 4294967295
                )
            )
            from raw.event as r
            where r.row_id between first_row and last_row
        )
        else (
            select sum(('x' || left(md5(concat_ws('|', l.row_id & 4294967295, l.line)), 16))::bit(64)::bigint)
            from (
                select
                    r.row_id,
                    concat_ws('|', r.transaction_id, (extract(epoch from r.transacted_at) * 1000000)::bigint, r.amount)
                        as line
                from raw.transactions as r
                where source = 'transactions' and r.row_id between first_row and last_row
                union all
                select r.row_id, concat_ws('|', c.customer_id, r.effective_date)
                from raw.customers as r
                inner join raw.customer as c on r.customer_key = c.customer_key
                where source = 'customers' and r.row_id between first_row and last_row
                union all
                select r.row_id, concat_ws('|', r.consultation_id, (extract(epoch from r.consulted_at) * 1000000)::bigint)
                from raw.consultations as r
                where source = 'consultations' and r.row_id between first_row and last_row
                union all
                select r.row_id, concat_ws('|', r.send_id, (extract(epoch from r.sent_at) * 1000000)::bigint)
                from raw.campaign_sends as r
                where source = 'campaign_sends' and r.row_id between first_row and last_row
                union all
                select r.row_id, concat_ws('|', r.subscription_id, (extract(epoch from r.subscribed_at) * 1000000)::bigint)
                from raw.subscriptions as r
                where source = 'subscriptions' and r.row_id between first_row and last_row
                union all
                select r.row_id, concat_ws('|', r.response_id, (extract(epoch from r.responded_at) * 1000000)::bigint)
                from raw.survey_responses as r
                where source = 'survey_responses' and r.row_id between first_row and last_row
                union all
                select
                    r.row_id,
                    concat_ws(
                        '|', c.customer_id, r.purpose, r.is_granted::text,
                        (extract(epoch from r.effective_at) * 1000000)::bigint
                    )
                from raw.consents as r
                inner join raw.customer as c on r.customer_key = c.customer_key
                where source = 'consents' and r.row_id between first_row and last_row
            ) as l
        )
    end;

-- Rows leave raw in two ways only, both in the transaction that takes them out of mart: with a file that another has
-- corrected or that has expired, and with a customer who is erased. Names of pages that they were the last to give are
-- looked up again.
create or replace function raw.remove_lines(first_rows bigint[], last_rows bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    first_row bigint;
    last_row bigint;
begin
    create temp table stale_name (node_id integer, name text) on commit drop;
    for first_row, last_row in select * from unnest(first_rows, last_rows) loop
        insert into stale_name
        select k.node_id, k.name
        from raw.node_name as k
        inner join (
            select e.node_id, left(c.page_name, 256) as name, max(e.event_at) as last_at
            from raw.event as e
            inner join raw.clickstream as c on e.row_id = c.row_id
            where e.row_id between first_row and last_row and c.page_name is not null
            group by 1, 2
        ) as g on k.node_id = g.node_id and k.name = g.name and k.last_at = g.last_at;
        delete from raw.event where row_id between first_row and last_row;
        delete from raw.clickstream where row_id between first_row and last_row;
        delete from raw.transactions where row_id between first_row and last_row;
        delete from raw.customers where row_id between first_row and last_row;
        delete from raw.consultations where row_id between first_row and last_row;
        delete from raw.campaign_sends where row_id between first_row and last_row;
        delete from raw.subscriptions where row_id between first_row and last_row;
        delete from raw.survey_responses where row_id between first_row and last_row;
        delete from raw.consents where row_id between first_row and last_row;
    end loop;
    if exists (select from stale_name) then
        delete from raw.node_name as k using stale_name as s where k.node_id = s.node_id and k.name = s.name;
        insert into raw.node_name (node_id, name, last_at)
        select e.node_id, s.name, max(e.event_at)
        from raw.event as e
        inner join (select distinct node_id, name from stale_name) as s on e.node_id = s.node_id
        inner join raw.clickstream as c on e.row_id = c.row_id and left(c.page_name, 256) = s.name
        group by e.node_id, s.name;
    end if;
    drop table stale_name;
end $$;
create or replace function raw.remove_superseded(removed integer[], publication bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform raw.remove_lines(
        array_agg(f.file_id::bigint << 32), array_agg((f.file_id::bigint << 32) + 4294967295)
    )
    from unnest(removed) as f (file_id);
    update raw.file
    set removed_id = publication, publication_id = coalesce(publication_id, publication),
        rows_mart = 0, rows_duplicate = 0, rows_bot = 0
    where file_id = any(removed);
end $$;
-- The lines of customers who were erased go, and with the last of them their numbers, and those of devices that nobody
-- else has used.
create or replace function raw.remove_erased(removed bigint[], publication bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    devices integer[] = array(
        select e.visitor_key from raw.event as e where e.row_id = any(removed)
        union
        select t.visitor_key from raw.transactions as t where t.row_id = any(removed)
        union
        select s.visitor_key from raw.survey_responses as s where s.row_id = any(removed)
    );
begin
    update raw.file as f
    set rows_erased = f.rows_erased + g.lines,
        rows_loaded = f.rows_loaded - g.lines + g.rejected,
        rows_quarantined = f.rows_quarantined - g.rejected,
        content_hash = f.content_hash - coalesce(g.line_hash, 0),
        totals = case
            when f.totals ? 'amount' then f.totals || jsonb_build_object(
                'amount', trim_scale((f.totals ->> 'amount')::numeric - coalesce(g.amount, 0))::text
            )
            else f.totals
        end
    from (
        select
            (l.row_id >> 32)::integer as file_id,
            count(*) as lines,
            count(*) filter (where l.is_rejected) as rejected,
            sum(raw.stored_hash(o.source, l.row_id, l.row_id)) filter (where not l.is_rejected) as line_hash,
            sum(t.amount) as amount
        from raw.erased_line as l
        inner join raw.file as o on o.file_id = (l.row_id >> 32)::integer
        left join raw.transactions as t on t.row_id = l.row_id
        where l.row_id = any(removed)
        group by 1
    ) as g
    where f.file_id = g.file_id;
    perform raw.remove_lines(removed, removed);
    update raw.visitor as v set visitor_id = 'erased-' || gen_random_uuid()
    where
        v.visitor_key = any(devices)
        and v.visitor_key <> all(
            array(
                -- without an index on it: once for all of them
                select distinct e.visitor_key from raw.event as e where e.visitor_key = any(devices)
                union
                select t.visitor_key from raw.transactions as t where t.visitor_key = any(devices)
                union
                select s.visitor_key from raw.survey_responses as s where s.visitor_key = any(devices)
                union
                select u.visitor_key from config.unlinked_device as u
            )
        );
    if found then
        analyze raw.visitor (visitor_id);                 -- the planner's statistics may have it
    end if;
    delete from raw.quarantine as q using unnest(removed) as g (row_id)
    where q.file_id = (g.row_id >> 32)::integer and q.line_no = g.row_id & 4294967295;
    update raw.erased_line set publication_id = publication where row_id = any(removed);
    perform raw.forget_customers();
end $$;
-- Numbers of erased customers none of whose lines is left give way to a name without meaning, wherever they are written.
create or replace function raw.forget_customers() returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone record;
    place record;
begin
    for gone in
        select
            k.customer_key,
            k.customer_id,
            'erased-' || gen_random_uuid() as alias,  -- which nobody can have landed as a number
            '(?<![0-9A-Za-z])' || regexp_replace(k.customer_id, '([^[:alnum:]])', '\\\1', 'g') || '(?![0-9A-Za-z])'
                as pattern
        from ops.erasure as e
        inner join raw.customer as k on k.customer_key = any(e.customer_keys)
        where
            k.customer_id not like 'erased-________-____-____-____-____________'
            and not exists (
                select from raw.erased_line as l where l.erasure_id = e.erasure_id and l.publication_id is null
            )
            -- what has landed since is the customer's until it is erased as well
            and not exists (
                select
                from (
                    select customer_key from raw.event
                    union all
                    select customer_key from raw.transactions
                    union all
                    select customer_key from raw.customers
                    union all
                    select customer_key from raw.consultations
                    union all
                    select customer_key from raw.campaign_sends
                    union all
                    select customer_key from raw.subscriptions
                    union all
                    select customer_key from raw.survey_responses
                    union all
                    select customer_key from raw.consents
                ) as l
                where l.customer_key = k.customer_key
            )
    loop
        update raw.customer set customer_id = gone.alias where customer_key = gone.customer_key;
        -- in what people and databases have written, and in addresses and names of pages
        for place in
            select c.oid::regclass as relation, a.attname
            from pg_class as c
            inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and a.atttypid = 'text'::regtype
            where
                c.relkind = 'r'
                and (
                    (
                        c.relnamespace in ('ops'::regnamespace, 'config'::regnamespace)
                        and a.attname in ('purpose', 'reason', 'error', 'message', 'observed', 'missing')
                    )
                    or c.oid = any(array['raw.node', 'raw.node_name', 'raw.inflow', 'raw.error']::regclass[])
                )
        loop
            execute format(
                'update %s set %I = regexp_replace(%I, $1, $2, ''g'') where strpos(%I, $3) > 0 and %I ~ $1',
                place.relation, place.attname, place.attname, place.attname, place.attname
            )
            using gone.pattern, gone.alias, gone.customer_id;
        end loop;
        for place in
            select c.oid::regclass as relation, a.attname
            from pg_class as c
            inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where
                c.relkind = 'r'
                -- build has what this publication told campaign systems: who goes
                and c.relnamespace = any(array['mart', 'ops', 'export', 'build']::regnamespace[])
                and a.attname in ('customer_id', 'row_key') and a.atttypid = 'text'::regtype
        loop
            execute format('update %s set %I = $1 where %I = $2', place.relation, place.attname, place.attname)
            using gone.alias, gone.customer_id;
        end loop;
        for place in  -- where the planner's statistics have it
            select format('%I.%I', s.schemaname, s.tablename) as relation, s.attname
            from pg_stats as s
            where concat_ws(' ', s.most_common_vals::text, s.histogram_bounds::text) ~ gone.pattern
        loop
            execute format('analyze %s (%I)', place.relation, place.attname);
        end loop;
    end loop;
end $$;
revoke execute on function raw.remove_lines(bigint[], bigint[]), raw.remove_erased(bigint[], bigint), raw.forget_customers()
from public;
revoke execute on function raw.remove_superseded(integer[], bigint) from public;

-- ───────────────────────────── ops: what was run, checked and published ─────────────────────────────
create table if not exists ops.run (
    run_id     text primary key,
    scope      text not null check (scope in ('changes', 'all')),
    files      integer not null,
    status     text not null check (status in ('running', 'built', 'validated', 'published', 'failed', 'empty')),
    error      text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at   timestamptz
);
create table if not exists ops.publication (
    publication_id bigint generated always as identity primary key,
    run_id         text not null references ops.run,
    watermark_at   timestamptz,                       -- latest time of what has landed, but for consents
    checks_passed  integer not null,
    checks_failed  integer not null,                  -- warnings only: a critical failure does not publish
    definitions    text not null,                     -- hash of the definitions its numbers follow
    rows_removed   jsonb not null,                    -- {model: rows}
    rows_added     jsonb not null,
    published_at   timestamptz not null default now()
);
alter table ops.publication add column if not exists session_policy_version integer; -- of definitions/sessions.yml
alter table ops.publication add column if not exists identity_version integer; -- grows with the policy and decisions
alter table ops.publication add column if not exists identity_hash text;       -- that say whom a session belongs to
-- How far any publication has come, and whether one of before a moment has.
create index if not exists publication_watermark on ops.publication (watermark_at, published_at);
create table if not exists ops.restatement (          -- daily totals that changed after their day had been reported
    business_date  date not null,
    measure        text not null,                     -- of mart.daily_total
    publication_id bigint not null references ops.publication,
    value_before   numeric not null,
    value_after    numeric not null,
    causes         text[] not null,
    primary key (business_date, measure, publication_id)
);
create table if not exists ops.erasure (              -- customers who were erased: who asked, when and why
    erasure_id    bigint generated always as identity primary key,
    customer_hash text not null unique,               -- keyed: shows that a number was erased, not which one
    customer_keys integer[] not null,
    reason        text not null,
    requested_by  text not null,
    requested_at  timestamptz not null default clock_timestamp(),
    archived_at   timestamptz,                        -- when the archive held none of their lines any more
    replaced      text[] not null default '{}'        -- places in the archive that are still to be removed
);
alter table ops.erasure
    add column if not exists certified_at timestamptz,  -- when nothing was found any more (certificate.py)
    add column if not exists certificate_sha256 text;
create table if not exists ops.mart_view (            -- views of mart are replaced only when their SQL changes
    name     text primary key,
    sql_hash text not null
);
create table if not exists ops.model_result (
    run_id  text not null references ops.run,
    node    text not null,                            -- dbt's unique id
    status  text not null,
    seconds double precision not null,
    rows    bigint,
    message text,
    primary key (run_id, node)
);
create table if not exists ops.check_result (
    run_id     text not null references ops.run,
    suite      text not null,
    check_id   text not null,                         -- DQ-…
    severity   text not null check (severity in ('critical', 'warning')),
    passed     boolean not null,
    observed   text,
    docs_path  text,                                  -- page in Data Docs
    checked_at timestamptz not null default clock_timestamp(),
    primary key (run_id, suite, check_id)
);
create table if not exists ops.canary (               -- canary customers of a day: sent, and what was seen of them
    canary_id   text not null,                        -- CN-… of definitions/canaries.yml
    canary_date date not null,
    label       jsonb not null,
    sent_at     timestamptz not null default clock_timestamp(),
    due_at      timestamptz not null,                 -- by when everything has to be seen
    checked_at  timestamptz,                          -- last time
    is_seen     boolean,
    hop         text,                                 -- the first at which something was not as expected
    missing     text,                                 -- everything that was not: hop, expected, seen
    primary key (canary_id, canary_date)
);
create table if not exists ops.access_log (
    accessed_at timestamptz not null default clock_timestamp(),
    user_name   text not null,
    object      text not null,
    customer_id text,
    purpose     text
);
-- What people looked at; channels ask for triggers many times a second.
create index if not exists access_log_person on ops.access_log (accessed_at) where object <> 'export.trigger_queue';
create table if not exists ops.access_grant (         -- who may open what in Superset, until when: each request
    request_id   text primary key,                    -- the run in Airflow that asked
    user_name    text not null,                       -- account in Superset
    full_name    text not null,
    email        text not null,
    role         text not null,                       -- of roles.yml: marketer, analyst@fx-sales
    reason       text not null,
    until_on     date not null,                       -- the last day
    requested_by text not null,
    requested_at timestamptz not null default clock_timestamp(),
    approved_by  text check (lower(approved_by) not in (lower(requested_by), lower(user_name))),
    approved_at  timestamptz,
    ended_at     timestamptz,                         -- without approval: when it was refused
    ended_by     text,                                -- null: nobody, a date has passed
    check ((approved_by is null) = (approved_at is null))
);
create table if not exists ops.report (               -- of packs: one for each period, however often it is tried
    pack_id        text not null,
    from_date      date not null,
    to_date        date not null,
    publication_id bigint references ops.publication,
    sha256         text,                              -- of report.html
    made_at        timestamptz,
    recipients     integer not null default 0,        -- for whom the mail server has taken it
    sending_at     timestamptz,                       -- when it was handed over: without sent_at nobody knows
    sent_at        timestamptz,
    error          text,                              -- why it was not made or not sent
    primary key (pack_id, from_date, to_date)
);

-- ───────────────────────────── config: applied definitions, versioned ─────────────────────────────
create table if not exists config.definition (
    kind          text not null,                      -- funnels, sessions, pages, sources …
    definition_id text not null,
    version       integer not null,
    content       jsonb not null,
    applied_at    timestamptz not null default now(),
    retired_at    timestamptz,
    primary key (kind, definition_id, version)
);
create unique index if not exists definition_current on config.definition (kind, definition_id)
where retired_at is null;
create table if not exists config.condition (         -- compiled from the definitions; the SQL is ours, never the user's
    condition_id text not null,                       -- hash of what is evaluated
    source       text not null,
    predicate    text not null
);
alter table config.condition add column if not exists hold_value text;      -- expressions for what a match keeps
alter table config.condition add column if not exists breakdown_value text;
alter table config.condition add column if not exists uses_customer boolean not null default false;
alter table config.condition add column if not exists uses_session boolean not null default false;
alter table config.condition add column if not exists is_of_node boolean not null default false;
alter table config.condition drop constraint if exists condition_pkey;
alter table config.condition add primary key (condition_id, source);        -- a condition of any source is one of each
create table if not exists config.unlinked_device (   -- whose sessions without a login shall belong to nobody
    visitor_key integer primary key references raw.visitor,
    unlinked_at timestamptz not null default now(),
    reason      text not null
);
create table if not exists config.transaction_code (  -- definitions/transactions.yml as applied: names for the catalogue
    transaction_code text primary key,
    content          jsonb not null,
    applied_at       timestamptz not null default now()
);
create table if not exists config.exchange_rate (     -- definitions/exchange_rates.yml as applied
    currency     text not null,
    valid_from   date not null,
    krw_per_unit numeric(18, 6) not null,
    primary key (currency, valid_from)
);

-- ───────────────────────────── export: what campaign systems answer ─────────────────────────────
-- What they read are views and tables that publish keeps.
create table if not exists export.ack (
    ack_id     bigint generated always as identity primary key,
    trigger_id uuid,                                  -- of export.trigger_queue,
    export_id  text,                                  -- or of an audience
    row_key    text,                                  -- the customer within an export
    status     text not null check (status in ('received', 'shown', 'clicked', 'closed', 'sent', 'failed', 'refused')),
    acked_at   timestamptz not null default clock_timestamp(),
    acked_by   text not null default session_user,
    check ((trigger_id is null) <> (export_id is null))
);
create index if not exists ack_trigger on export.ack (trigger_id);
alter table export.ack
    add column if not exists rule_id text,             -- of a trigger: what it was then; the trigger may go,
    add column if not exists subject_key integer,      -- what somebody has been shown has been shown
    add column if not exists message_version integer;
create index if not exists ack_subject on export.ack (subject_key) where subject_key is not null;
create or replace function raw.describe_ack() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if to_regclass('mart.trigger') is not null then    -- nothing has been published yet
        select t.rule_id, t.subject_key, d.version
        into new.rule_id, new.subject_key, new.message_version
        from mart.trigger as t
        left join mart.definition as d on d.kind = 'messages' and d.definition_id = t.message_id
        where t.trigger_id = new.trigger_id;
    end if;
    return new;
end $$;
create or replace trigger describe before insert on export.ack
    for each row when (new.trigger_id is not null) execute function raw.describe_ack();

-- ───────────────────────────── roles ─────────────────────────────
-- Everything is granted anew, so what an earlier version gave and this one does not is taken back; until the transaction
-- ends nobody lacks anything. What other roles were given is theirs, and what publish grants is in publish/access.py.
do $$
declare
    who text = (
        select string_agg(r.rolname, ', ') from pg_roles as r where r.rolname like 'jm\_%' and r.rolname <> 'jm_admin'
    );
    given record;
begin
    execute format('revoke all on schema raw, ops, config, staging, build, next, mart, export from %s', who);
    execute format('revoke all on all tables in schema raw, ops, config from %s', who);
    execute format('revoke all on export.ack from %s', who);
    execute format('revoke all on all functions in schema raw, ops, config from %s', who);
    execute format(
        'alter default privileges for role jm_builder in schema staging, build, next revoke all on tables from %s', who
    );
    execute format('alter default privileges for role jm_publisher in schema mart, export revoke all on tables from %s', who);
    for given in
        select m.roleid::regrole as role, m.member::regrole as member from pg_auth_members as m
        where m.roleid::regrole::text like 'jm\_%' and m.member::regrole::text like 'jm\_%'
    loop
        execute format('revoke %s from %s', given.role, given.member);
    end loop;
end $$;
grant all on schema staging, build, next to jm_builder;
grant all on schema mart, export to jm_publisher;
grant usage on schema raw to jm_loader, jm_builder, jm_publisher, jm_auditor;
grant select, insert on all tables in schema raw to jm_loader;
revoke insert on raw.erased_line from jm_loader; -- who names lines there takes them out of everything
grant update on raw.file, raw.file_day, raw.node_name to jm_loader;
grant delete on raw.quarantine, raw.replay to jm_loader; -- a replayed line moves from one to the other
grant execute on function raw.remove_superseded(integer[], bigint), raw.remove_erased(bigint[], bigint) to jm_publisher;
grant execute on function raw.create_event_indexes(), raw.drop_event_indexes() to jm_loader;
grant select on all tables in schema raw to jm_builder, jm_publisher;
grant update (rows_duplicate, rows_bot, rows_mart, publication_id) on raw.file to jm_publisher;
grant update (publication_id) on raw.replay to jm_publisher;
grant select on raw.file, raw.file_day, raw.replay_masked, raw.quarantine_masked to jm_auditor; -- quotes no values

grant usage on schema ops to jm_loader, jm_builder, jm_publisher, jm_auditor;
grant usage on schema raw, ops to jm_privacy;
grant select on all tables in schema raw to jm_privacy;
grant insert on raw.erased_line to jm_privacy;
grant update (archived_sha256) on raw.file to jm_privacy;
grant execute on function raw.forget_customers() to jm_privacy;
grant insert on ops.erasure to jm_privacy;
grant update (
    customer_keys, reason, requested_at, archived_at, replaced, certified_at, certificate_sha256
) on ops.erasure to jm_privacy;
grant select on all tables in schema ops to jm_privacy; -- and everything else below: who certifies looks everywhere
grant select, insert, update on ops.run to jm_loader, jm_builder, jm_publisher;
grant select, insert, update, delete on ops.model_result, ops.check_result to jm_builder;
grant insert, update on ops.canary to jm_builder;
grant select on all tables in schema ops to jm_builder, jm_publisher, jm_auditor;
grant insert on ops.access_log to jm_builder;
grant insert, update on ops.report to jm_builder;
grant insert, update (approved_by, approved_at, ended_at, ended_by) on ops.access_grant to jm_builder;
grant insert on ops.publication, ops.restatement to jm_publisher;
grant insert, update on ops.mart_view to jm_publisher;

grant usage on schema config to jm_builder, jm_publisher, jm_auditor, jm_privacy;
grant select, insert, update, delete on all tables in schema config to jm_builder;
grant select on all tables in schema config to jm_publisher, jm_auditor, jm_privacy;

-- Heavy one-pass work belongs to the builder; nobody else gets this much memory.
alter role jm_builder set work_mem = '512MB';
alter role jm_builder set parallel_tuple_cost = 0.01;
alter role jm_builder set synchronize_seqscans = off; -- facts are stored in the order later steps read them
alter role jm_dashboard set default_transaction_read_only = on;
alter role jm_dashboard set parallel_tuple_cost = 0.01; -- one question at a time: what cores are idle answer it too
alter role jm_report set default_transaction_read_only = on;
grant insert on ops.access_log to jm_publisher;       -- whose functions show one customer and write down who looked
alter role jm_auditor set default_transaction_read_only = on;
-- What is slow is logged, but not of those whose statements name customers.
alter role jm_campaign set log_min_duration_statement = -1;
alter role jm_cs set log_min_duration_statement = -1;
alter role jm_dashboard set log_min_duration_statement = -1;
alter role jm_privacy set log_min_duration_statement = -1;
-- Answers, and who has looked at a customer, stay though the server dies a moment later.
alter role jm_campaign set synchronous_commit = on;
alter role jm_dashboard set synchronous_commit = on;
alter role jm_cs set synchronous_commit = on;

grant usage on schema staging, build, next to jm_publisher, jm_privacy;
grant select on all tables in schema staging, build, next to jm_privacy;
alter default privileges for role jm_builder in schema staging, build, next
grant select on tables to jm_publisher, jm_privacy;
grant jm_builder to jm_publisher;                     -- publish takes over whole tables of a full build
-- What jm_report may read is decided column by column when something is published (publish/access.py).
grant usage on schema mart to jm_builder, jm_dashboard, jm_report, jm_auditor;
grant jm_dashboard to jm_privacy;                     -- whose sessions are a customer's is known in mart
grant jm_report to jm_cs;
alter default privileges for role jm_publisher in schema mart grant select on tables to jm_builder, jm_dashboard;
grant usage on schema export to jm_campaign, jm_builder, jm_privacy;
grant select on all tables in schema export to jm_privacy;
grant select on export.ack to jm_builder, jm_publisher, jm_campaign;
grant insert (trigger_id, export_id, row_key, status) on export.ack to jm_campaign;
alter default privileges for role jm_publisher in schema export
grant select on tables to jm_campaign, jm_builder, jm_privacy;
