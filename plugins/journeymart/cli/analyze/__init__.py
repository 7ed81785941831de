"""`journeymart analyze`: the analyses of schema mart from the command line."""

from __future__ import annotations

from journeymart.cli.analyze import behaviour, cohorts, funnels, paths
from journeymart.cli.common import group

app = group("analyze", "Analyses of the published mart.", "analyze funnel --id FN-ACCOUNT-OPEN")
for module in (paths, funnels, cohorts, behaviour):
    app.add_typer(module.app)
