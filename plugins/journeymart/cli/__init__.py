"""The command line: `journeymart COMMAND`. Each module of this package that has an `app` brings its commands.

A command raises JourneymartError for what the user can act on (exit code 1, one line), and typer.BadParameter or
WrongUsageError for wrong usage (exit code 2). Modules import heavy libraries inside their commands, so that `--help`
stays quick.
"""

from __future__ import annotations

import importlib
import pkgutil

import typer

from journeymart.cli.common import with_example


def build_app() -> typer.Typer:
    """The application with the commands of every module of this package, in the modules' alphabetical order."""
    app = typer.Typer(
        name="journeymart",
        help=with_example(
            "Customer-behaviour data platform: from landed files to checked, published dashboards.",
            "status",
        ),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        if not module.name.endswith("__main__"):
            commands = getattr(importlib.import_module(module.name), "app", None)
            if isinstance(commands, typer.Typer):
                app.add_typer(commands)
    return app
