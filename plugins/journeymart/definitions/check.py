"""`journeymart definitions check`: every mistake of every file at once, and what is possible but hardly meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from journeymart.definitions.applied import KINDS, load_definitions
from journeymart.definitions.canaries import load_canaries
from journeymart.definitions.channels import ChannelsFile
from journeymart.definitions.databases import load_pulls
from journeymart.definitions.exchange_rates import KIND as EXCHANGE_RATES
from journeymart.definitions.exchange_rates import ExchangeRatesFile
from journeymart.definitions.loader import SHIPPED, DefinitionError, Location, load_yaml, own_directory, suggestion
from journeymart.definitions.packs import PacksFile, load_packs
from journeymart.definitions.pages import load_pages
from journeymart.definitions.rules import overlapping, parse_rules
from journeymart.definitions.sessions import SessionsFile
from journeymart.definitions.sources import Sources, load_sources
from journeymart.definitions.transactions import load_transactions
from journeymart.settings import REPO

_ROLES = REPO / "docker" / "superset" / "assets" / "roles.yml"


@dataclass(frozen=True)
class Report:
    """What was found: messages of the form file:line: where: what. Only errors keep definitions from being applied."""

    files: int
    errors: list[str]
    warnings: list[str]


def check(directory: Path | None = None) -> Report:
    """Read every definition of `directory`, of the shipped ones where it has none. Raises only if it does not exist."""
    if directory is not None and not directory.is_dir():
        raise DefinitionError([f"{directory}: no such directory of definitions"])
    errors: dict[str, None] = {}

    def attempt(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except DefinitionError as error:
            errors.update(dict.fromkeys(error.messages))
            return None

    attempt(lambda: load_yaml("sessions", directory).parse(SessionsFile))
    attempt(lambda: load_yaml("channels", directory).parse(ChannelsFile))
    attempt(lambda: load_yaml(EXCHANGE_RATES, directory).parse(ExchangeRatesFile))
    attempt(lambda: load_pages(directory))
    sources = attempt(lambda: load_sources(directory))
    codes = None
    if sources is not None:
        codes = attempt(lambda: load_transactions(directory, sources))
        attempt(lambda: load_pulls(directory, sources))
    for kind, file in KINDS.items():
        attempt(lambda kind=kind, file=file: load_yaml(kind, directory).parse(file))  # type: ignore[misc]
    attempt(lambda: load_definitions(directory))
    if sources is not None and not errors:
        errors.update(dict.fromkeys(_values_never_there(directory, sources)))
    attempt(lambda: load_packs(directory))
    attempt(lambda: load_canaries(directory))
    known = {path.stem for path in SHIPPED.glob("*.yml")}
    files = sorted((directory or own_directory()).glob("*.y*ml"))
    for path in files:
        if path.stem not in known:
            names = ", ".join(sorted(known))
            errors[f"{path}: is not read{suggestion(path.stem, known)} (known names: {names})"] = None
        elif path.suffix != ".yml":
            errors[f"{path}: is not read; files end in .yml"] = None
    warnings = [] if errors or codes is None else [
        *_unknown_codes(directory, codes.transactions), *_overlapping_rules(directory), *_owners_without_role(directory)
    ]  # fmt: skip
    return Report(len(files), list(errors), warnings)


def require(directory: Path | None = None) -> None:
    """Raise DefinitionError with every mistake that `check` finds."""
    errors = check(directory).errors
    if errors:
        raise DefinitionError(errors)


def _unknown_codes(directory: Path | None, known: Collection[str]) -> Iterator[str]:
    """Transaction codes that conditions ask for and the catalogue does not have: a step that nobody will take."""
    for kind in KINDS:
        document = load_yaml(kind, directory)
        for at, value in _values(document.data, (), "transaction_code"):
            if value not in known:
                yield f"{document.where(at)}: no transaction code '{value}' is defined{suggestion(value, known)}"


# Which source of sources.yml the events of a condition's source come from.
_LANDED = {
    "screen": "clickstream", "transaction": "transactions", "consultation": "consultations",
    "campaign": "campaign_sends", "subscription": "subscriptions", "survey": "survey_responses",
}  # fmt: skip


def _values_never_there(directory: Path | None, sources: Sources) -> Iterator[str]:
    """Values that a field of a closed list never has: what is compared with them cannot be reached."""
    for kind in KINDS:
        document = load_yaml(kind, directory)
        for at, source, where in _conditions(document.data, ()):
            landed = list(_LANDED.values()) if source == "any" else [_LANDED[source]]
            fields = [sources.sources[name].fields for name in landed if name in sources.sources]
            for name in {name for each in fields for name in each}:
                having = [each[name].allowed for each in fields if name in each]
                if None in having:
                    continue
                allowed = sorted({value for each in having for value in each or ()})
                for place, value in _values(where, at, name):
                    if value not in allowed:
                        hint = suggestion(value, allowed)
                        yield (
                            f"{document.where(place)}: cannot be reached: {name} is never '{value}'{hint}"
                            f" (one of {', '.join(allowed)})"
                        )


def _conditions(value: Any, at: Location) -> Iterator[tuple[Location, str, Any]]:
    """Every `where` of a document with its place and its source."""
    if isinstance(value, dict):
        if isinstance(value.get("source"), str) and "where" in value:
            yield (*at, "where"), value["source"], value["where"]
        for key, inner in value.items():
            yield from _conditions(inner, (*at, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _conditions(inner, (*at, number))


def _overlapping_rules(directory: Path | None) -> Iterator[str]:
    document = load_yaml("rules", directory)
    for number, message in overlapping(parse_rules(document)):
        yield f"{document.where(('rules', number))}: {message}"


def _owners_without_role(directory: Path | None) -> Iterator[str]:
    """Packs of a department that no role is for: none of its people can open their dashboards."""
    roles = yaml.load(_ROLES.read_text("utf-8"), yaml.CSafeLoader)["roles"].values()
    known = sorted({department for role in roles for department in role.get("departments", ())})
    document = load_yaml("packs", directory)
    for number, pack in enumerate(document.parse(PacksFile).packs):
        if pack.owner not in known:
            where, near = document.where(("packs", number, "owner")), suggestion(pack.owner, known)
            yield f"{where}: roles.yml has no department {pack.owner}, whose people could open the dashboard{near}"


def _values(value: Any, at: Location, name: str, *, inside: bool = False) -> Iterator[tuple[Location, str]]:
    """Texts that a field is compared with for equality, with their place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name or (inside and key in {"eq", "in"}):
                yield from _values(inner, (*at, key), name, inside=True)
            elif not inside:
                yield from _values(inner, (*at, key), name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _values(inner, (*at, number), name, inside=inside)
    elif inside and isinstance(value, str):
        yield at, value
