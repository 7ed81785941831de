"""journeymart: an on-premises platform for customer-behaviour data.

The way of a line: `landing` brings it into raw, `transform` (dbt) computes what the mart will be, `quality` decides
whether that may be published, `publish` publishes it; `superset`, `reports`, `analysis` and `audiences` read the mart.
`pipeline` puts these together, for the command line (`cli`) and the DAGs (`airflow`). What is counted is said in
`definitions`. `platform` starts PostgreSQL, Airflow and Superset on one machine, `sample` makes a bank to try it with.
"""

__version__ = "0.1.0"
