"""`journeymart sources` writes the tracking plan as a page that people read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from journeymart.cli.common import Definitions, Json

if TYPE_CHECKING:
    from journeymart.definitions.sources import Field, Source

app = typer.Typer()


def known_source(name: str | None) -> str | None:
    """The name of a source, as it is. Raises typer.BadParameter if there is none: no installation adds sources."""
    if name is None:
        return None
    from journeymart.definitions.loader import SHIPPED, suggestion
    from journeymart.definitions.sources import load_sources

    plan = load_sources(SHIPPED).sources
    if name not in plan:
        raise typer.BadParameter(f"there is no source '{name}'{suggestion(name, plan)} (one of {', '.join(plan)})")
    return name


OnlySource = Annotated[
    str | None, typer.Option("--source", help="Only this source, for example clickstream.", callback=known_source)
]


@app.command()
def sources(
    name: Annotated[
        str | None, typer.Argument(help="Only this source, for example clickstream.", callback=known_source)
    ] = None,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Write the tracking plan: what may land, which field means what, and where it comes from in a file.

    Example: `journeymart sources clickstream > clickstream.md`
    """
    from journeymart.definitions.sources import Sources, load_sources

    given = load_sources(definitions)
    plan = given.sources
    shown = {key: source for key, source in plan.items() if name in (None, key)}
    if as_json:
        print(Sources(personal=given.personal, sources=shown).model_dump_json(exclude_none=True, by_alias=True))
        return
    sys.stdout.write("\n".join(_page(key, source) for key, source in shown.items()))


def _page(name: str, source: Source) -> str:
    done = ", complete with `.done`" if source.require_done else ""
    encoding = f", text is {source.encoding.upper()}" if source.encoding != "utf-8" else ""
    every = f", expected every {source.expect_every}" if source.expect_every else ""
    keep = f", kept for {source.keep}" if source.keep else ""
    return (
        f"## {name}: {source.label.ko} / {source.label.en}\n\n"
        f"Times without an offset are in {source.time_zone}{encoding}{done}{every}{keep}. * is required.\n\n"
        "| field | 이름 | name | type | from | allowed | personal | 뜻 | meaning |\n"
        "|---|---|---|---|---|---|---|---|---|\n" + "".join(_row(key, field) for key, field in source.fields.items())
    )


def _row(name: str, field: Field) -> str:
    cells = (
        f"{name}*" if field.required else name,
        field.label.ko,
        field.label.en,
        field.type,
        _origin(name, field),
        ", ".join(field.allowed or ()),
        field.personal or "",
        field.description.ko,
        field.description.en,
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _origin(name: str, field: Field) -> str:
    """Where its value is found, in the words of sources.yml."""
    if field.value is not None:
        return f"always {field.value}"
    if field.file_line:
        return "file and line"
    origin = f"hash of {', '.join(field.hash)}" if field.hash else ", ".join(field.columns(name))
    origin += f" as {field.time}" if isinstance(field.time, str) and field.time != "iso" else ""
    origin += "".join(f"; {value} → {meaning}" for value, meaning in (field.values or {}).items())
    return origin + (f"; default {field.default}" if field.default is not None else "")
