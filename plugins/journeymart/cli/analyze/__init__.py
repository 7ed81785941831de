"""`journeymart analyze`: the analyses of schema mart from the command line."""

from __future__ import annotations

import typer

from journeymart.cli.analyze import behaviour, cohorts, funnels, paths
from journeymart.cli.common import with_example

app = typer.Typer()
group = typer.Typer(
    help=with_example("Analyses of the published mart.", "analyze funnel --id FN-ACCOUNT-OPEN"), no_args_is_help=True
)
app.add_typer(group, name="analyze")
group.add_typer(paths.app, name="paths")
for module in (funnels, cohorts, behaviour):
    group.add_typer(module.app)
