"""`journeymart erase` and `certify`: a customer's lines leave everything that keeps lines, and the proof of it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from journeymart.cli.common import Definitions, Json, Landing, write_json
from journeymart.errors import one_line

app = typer.Typer()


@app.command()
def erase(
    customer: Annotated[
        str,
        typer.Option(help="The customer's number as it is landed; it is not kept. `-` reads it from standard input."),
    ],
    reason: Annotated[str, typer.Option(help="Why; it is kept, so name nobody.")],
    landing: Landing = None,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Erase a customer: lines leave the archive now, raw, quarantine and the mart with the next run.

    The ledger keeps that there were lines, `ops.erasure` who asked, when and why.

    Example: `journeymart erase --customer - --reason "request 2026-118" < number.txt`
    """
    from journeymart.erasure import erase as erase_customer
    from journeymart.settings import Settings

    settings = Settings.load()
    zone = landing or settings.landing
    number = sys.stdin.readline().strip() if customer == "-" else customer
    erasure = erase_customer(settings, number, reason, zone, definitions=definitions)
    if as_json:
        write_json(erasure)
        return
    print(
        f"Erasure {erasure.erasure_id}: {erasure.lines:,} lines go with the next run,"
        f" {erasure.archived:,} files of the archive are written anew."
    )
    if erasure.exports:
        print(f"The files of {erasure.exports:,} exports are removed; the next delivery writes them anew.")
    for path in erasure.landed:
        print(f"Still in the landing zone, which is its sender's: {one_line(path)}")
    for path in erasure.elsewhere:
        print(f"Not in the landing zone {zone}; where else it lies it still has such lines: {one_line(path)}")


@app.command()
def certify(
    customer: Annotated[
        str,
        typer.Option(help="The erased customer's number. `-`: standard input, below it devices' identifiers, if any."),
    ],
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Certify an erasure: search everything for the number, and write a certificate if it is nowhere.

    Places where it is found are named, and the command ends with 1.

    Example: `journeymart certify --customer - < number.txt`
    """
    from journeymart.certificate import certify as certify_erasure
    from journeymart.settings import Settings

    lines = sys.stdin.read().splitlines() if customer == "-" else [customer]
    number, *devices = [line.strip() for line in lines if line.strip()] or [""]
    certificate = certify_erasure(Settings.load(), number, *devices, definitions=definitions)
    if as_json:
        write_json(certificate)
    elif certificate.page:
        size = sum(place.bytes for place in certificate.search.places.values())
        print(f"Found nowhere in {size:,} bytes: {certificate.page} (sha256 {certificate.sha256})")
    for place, times in certificate.search.found.items():
        print(one_line(f"Found {times:,} times: {place}"), file=sys.stderr)
    if certificate.search.found:
        raise typer.Exit(1)
