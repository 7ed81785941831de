{{ config(key=['watermark_at'], replaces='true') }}
-- What is not over by then is not over yet, whatever the clock says.
select watermark_at
from build.run_scope
where watermark_at is not null
