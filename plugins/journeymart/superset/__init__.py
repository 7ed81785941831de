"""Superset assets as code: authored YAML and the dbt manifest in, an import bundle out.

`specs` reads docker/superset/assets, `lint` finds broken references, `bundle` renders, `apply` imports; `client` is
how all of them talk to Superset.
"""
