-- What the sender declared beside the file (.done) is what was read. Amounts are compared only when no line is
-- quarantined or was erased, because the amount of such a line is not known. A declared total that is not a number
-- differs.
with scope as (select * from {batch}),

stated as (
    select
        file_id,
        'rows' as item,
        declared ->> 'rows' as declared_value,
        rows_read::text as computed_value
    from scope
    union all
    select
        file_id,
        'sha256' as item,
        lower(declared ->> 'sha256') as declared_value,
        sha256 as computed_value
    from scope
    union all
    select
        s.file_id,
        'totals.' || t.key as item,
        t.value as declared_value,
        coalesce(s.totals ->> t.key, '0') as computed_value
    from scope as s
    cross join lateral jsonb_each_text(
        case when jsonb_typeof(s.declared -> 'totals') = 'object' then s.declared -> 'totals' end
    ) as t
    where s.rows_quarantined = 0 and s.rows_erased = 0
),

compared as (
    select
        *,
        item <> 'sha256' and pg_input_is_valid(declared_value, 'numeric') as is_number
    from stated
    where declared_value is not null
)

select
    file_id,
    item,
    case when is_number or declared_value ~ '^[0-9a-f]+$' then declared_value else 'not a number' end as declared_value,
    computed_value
from compared
where
    case
        when is_number then declared_value::numeric <> computed_value::numeric
        else declared_value <> computed_value
    end
