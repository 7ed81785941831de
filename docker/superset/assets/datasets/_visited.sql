-- How often each node was visited, in all.
visited as (
    select node_id, sum(visits) as visits
    from mart.path_move
    group by node_id
)
