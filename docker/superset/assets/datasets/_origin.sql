-- Whether an item of the proof stands behind a figure that is chosen (superset/proof.py); while none is, every one does.
{% if shown -%}
exists (
    select
    from jsonb_to_recordset(convert_from(decode({{ [figures] | where_in }}, 'base64'), 'utf8')::jsonb) as listed (figure text, origin integer)
    where listed.figure in {{ shown | where_in }} and item.origins @> to_jsonb(listed.origin)
)
{%- else -%}
true
{%- endif %}
