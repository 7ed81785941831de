"""dbt, run in this process."""
