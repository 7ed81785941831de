"""What the DAG files use. Imports nothing but the standard library and Airflow."""
