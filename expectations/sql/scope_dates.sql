-- The session dates whose numbers a run changes; with a full run every date. One row per date.
select session_date from build.touched_date
