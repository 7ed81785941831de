select
    entry_date,
    funnel_id,
    step_no,
    step_no || '. ' || step_name as step,
    entered,
    dropped,
    still_open
from mart.funnel_step as f
where
    segment_id = 'all'
    -- Two versions of a definition are two different questions: never add them up.
    and version = (select max(latest.version) from mart.funnel_step as latest where latest.funnel_id = f.funnel_id)
