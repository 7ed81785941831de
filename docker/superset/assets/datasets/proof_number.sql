select
    item.figure,
    item.number,
    item.meaning,
    item.formula,
    item.origin
from jsonb_to_recordset(convert_from(decode({{ [numbers] | where_in }}, 'base64'), 'utf8')::jsonb)
    as item (figure text, number text, meaning text, formula text, origin text)
