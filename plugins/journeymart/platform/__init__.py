"""The local platform: PostgreSQL, Airflow and Superset as processes of this machine, for one home directory."""
