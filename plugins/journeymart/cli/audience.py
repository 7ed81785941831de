"""`journeymart audience`: give customers to campaign systems without help from IT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeymart.cli.common import Json, directory, group, write_json
from journeymart.settings import Settings

if TYPE_CHECKING:
    from journeymart.audiences import Export

app = group("audience", "Customers for campaign systems; see docs/integrate.md.", "audience list")

Listed = Annotated[str | None, typer.Option(help="Several, with commas between them.")]


@app.command("request")
def request(  # noqa: PLR0913, PLR0917 - an option each
    audience_id: Annotated[str, typer.Option("--id", help="A name that is not taken: AU-…")],
    label: Annotated[str, typer.Option(help="What people call it.")],
    owner: Annotated[str, typer.Option(help="The department that answers for it.")],
    purpose: Annotated[str, typer.Option(help="The consent that the customers must have given.")],
    origin: Annotated[
        str, typer.Option("--from", help="SG-…, or the YAML of `from`, such as {rule: DR-…, within: 7d}.")
    ],
    columns: Listed = None,
    suppress: Listed = None,
    schedule: Annotated[str, typer.Option(help="run, day, week or month.")] = "day",
    max_contacts: Annotated[str | None, typer.Option(help="Campaign sends allowed, such as `2 per 7d`.")] = None,
    file: Annotated[bool, typer.Option("--file", help="Write files as well.")] = False,
    definitions: Annotated[Path | None, directory("Directory whose audiences.yml it is added to.")] = None,
    as_json: Json = False,
) -> None:
    """Add an audience to audiences.yml and export it: computed, checked and published at once.

    Example: `journeymart audience request --id AU-A --label 우수고객 --owner pb --purpose marketing --from SG-STABLE`
    """
    from journeymart import audiences
    from journeymart.definitions.requests import content_of, origin_of

    answers: dict[str, Any] = {
        "id": audience_id, "label": {"ko": label, "en": label}, "owner": owner, "purpose": purpose,
        "from": origin_of(origin), "schedule": schedule, "columns": _list(columns),
        "suppress": _list(suppress), "max_contacts": max_contacts, "file": file,
    }  # fmt: skip
    result = audiences.request(Settings.load(), content_of(answers), definitions)
    if as_json:
        write_json(result)
        return
    print(f"{result.export_id}: {result.members:,} customers in export.audience_snapshot as of {result.as_of}.")
    print(_left_out(result))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the audiences with their latest export, and why customers are not in it.

    Example: `journeymart audience list`
    """
    from journeymart import audiences

    found = audiences.exports(Settings.load())
    if as_json:
        write_json(found)
        return
    for item in found:
        print(
            f"{item.export_id:24} {item.members:>9,} members  export {item.export_no} as of {item.as_of}\n"
            f"    {_left_out(item)}"
        )
    if not found:
        print("Nothing has been exported.")


@app.command("effect")
def effect(
    audience_id: Annotated[str | None, typer.Option("--id", help="Only this audience.")] = None, as_json: Json = False
) -> None:
    """Exported, sent, returned and converted, beside those who were held out.

    Example: `journeymart audience effect --id AU-FX-INTEREST`
    """
    from journeymart import audiences

    settings = Settings.load()
    known = [item.export_id for item in audiences.exports(settings)]
    if audience_id is not None and audience_id not in known:
        raise typer.BadParameter(f"there is no audience '{audience_id}' (one of {', '.join(known)})", param_hint="--id")
    rows = audiences.effect(settings, audience_id)
    if as_json:
        write_json(rows)
        return
    for row in rows:
        group = "held out" if row["is_held_out"] else "exported"
        goal = "  no goal"
        if row["converted"] is not None:
            goal = f"  {row['converted']:>7,} converted  {row['conversion_ratio']:.1%}"
        print(
            f"{row['export_id']:24} {group:9} {row['customers']:>9,} customers  {row['sent']:>7,} sent"
            f"  {row['returned']:>7,} returned{goal}"
        )
    if not rows:
        print("Nothing has been exported.")


def _left_out(export: Export) -> str:
    if export.candidates is None:  # exported before it was due, because consents had ended
        return f"{export.held_out:,} are held out."
    return (
        f"Of {export.candidates:,} found, {export.without_consent:,} have not consented, {export.suppressed:,} are"
        f" suppressed, {export.fatigued:,} have been contacted enough, {export.held_out:,} are held out."
    )


def _list(text: str | None) -> list[str]:
    return [item.strip() for item in text.split(",")] if text else []
