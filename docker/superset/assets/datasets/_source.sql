-- The source under its name in the tracking plan.
case source
    {% for id, label in source_names %}when {{ [id] | where_in }} then {{ [label] | where_in }} {% endfor %}
    else source
end as source
