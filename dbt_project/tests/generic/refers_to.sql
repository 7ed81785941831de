{# Every key that this run computed is found where it points to; joins then lose nothing. #}
{% test refers_to(model, column_name, to, field) %}
select b.{{ column_name }}
from build.{{ model.identifier }} as b
where
    b.{{ column_name }} is not null
    and not exists (select from {{ to }} as t where t.{{ field }} = b.{{ column_name }})
{% endtest %}
