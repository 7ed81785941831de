-- What customers can be looked up for, under the name by which it is chosen: rules, pages on which sessions ended, errors.
node_name as (
    select node, min(label) as label
    from mart.node
    group by node
),

behaviour as (
    select
        'rule' as kind,
        definition_id as code,
        null::text as error_code,
        {{ [rule] | where_in }} || ' · ' || case {{ [language] | where_in }} when 'ko' then label_ko else label_en end as behaviour
    from mart.definition
    where kind = 'rules'
    union all
    select 'risk', null, null, {{ [risk] | where_in }}
    union all
    select 'exit', node, null, {{ [left_at] | where_in }} || ' · ' || label || ' (' || node || ')'
    from node_name
    union all
    select distinct
        'error',
        page.error_page,
        page.error_code,
        {{ [error] | where_in }} || ' · ' || page.error_code || ' · ' || coalesce(named.label || ' (' || named.node || ')', page.error_page)
    from mart.error_page as page
    left join node_name as named on page.error_page = named.node
)
