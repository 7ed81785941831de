"""Reports of departments: what a pack's dashboard shows, as files and as mail, without a browser.

`$JOURNEYMART_HOME/reports/<department>/<last date>/<pack>/` has report.html, which needs nothing beside it, and a CSV
for each question. There is one for every pack and period, recorded in ops.report; what is cut short is done again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from psycopg.rows import dict_row

from journeymart.analysis import Result
from journeymart.db import alone, connect, published
from journeymart.definitions.packs import Pack, load_packs
from journeymart.errors import JourneymartError, NotPublishedError, PipelineError, WrongUsageError, one_line
from journeymart.files import replacing
from journeymart.reports import content, mail
from journeymart.settings import Settings

# Days after which there should be another report: its period, and two for what comes late.
PATIENCE = {"day": 3, "week": 9, "month": 33}
_FAILURES = (JourneymartError, psycopg.Error, OSError, smtplib.SMTPException)
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - wide ones count as well
# A report is a row of ops.report, by pack and period.
_STATE: LiteralString = """
    select *, extract(day from now() - made_at)::integer as days from ops.report
    where (pack_id, from_date, to_date) = (%(pack_id)s, %(from_date)s, %(to_date)s)
"""
_MADE: LiteralString = """
    insert into ops.report (pack_id, from_date, to_date, publication_id, sha256, made_at)
    values (%(pack_id)s, %(from_date)s, %(to_date)s, %(publication_id)s, %(sha256)s, clock_timestamp())
    on conflict (pack_id, from_date, to_date) do update set
        publication_id = excluded.publication_id, sha256 = excluded.sha256, made_at = excluded.made_at,
        recipients = 0, sending_at = null, sent_at = null, error = null
"""
_AGAIN: LiteralString = """
    update ops.report set made_at = null where (pack_id, from_date, to_date) = (%(pack_id)s, %(from_date)s, %(to_date)s)
"""
_FAILED: LiteralString = """
    insert into ops.report (pack_id, from_date, to_date, error)
    values (%(pack_id)s, %(from_date)s, %(to_date)s, %(error)s)
    on conflict (pack_id, from_date, to_date) do update set error = excluded.error
"""
_SENDING: LiteralString = """
    update ops.report set
        sending_at = case when %(is_sending)s then clock_timestamp() end, error = null
    where (pack_id, from_date, to_date) = (%(pack_id)s, %(from_date)s, %(to_date)s)
"""
_SENT: LiteralString = """
    update ops.report set sent_at = clock_timestamp(), recipients = %(recipients)s, error = %(error)s
    where (pack_id, from_date, to_date) = (%(pack_id)s, %(from_date)s, %(to_date)s)
"""


@dataclass(frozen=True)
class Delivery:
    """What became of a report: `made`, `sent`, `done` before, or `waiting` for the first period with data."""

    pack_id: str
    department: str
    from_date: date
    to_date: date
    state: str
    folder: Path
    recipients: int = 0


def deliver(
    settings: Settings, *, pack_id: str | None = None, as_of: date | None = None, again: bool = False,
    definitions: Path | None = None,
) -> list[Delivery]:  # fmt: skip
    """Make and mail the reports that are due on `as_of` (the date the data have come to) and not yet there; with
    `again` those that are there too.

    A report that fails leaves nothing and does not stop the others. Raises PipelineError with those that failed.
    """
    packs = [pack for pack in load_packs(definitions) if pack.report and pack_id in (None, pack.id)]
    if pack_id and not packs:
        raise WrongUsageError(f"packs.yml has no report of {one_line(pack_id)}")
    deliveries, failed = [], []
    busy = JourneymartError("reports are being made already; wait for them")
    with connect("jm_builder", settings=settings, autocommit=True) as ledger, alone(ledger, "report", busy):
        for pack in packs:
            try:
                deliveries.append(_deliver(settings, ledger, pack, as_of, again=again, definitions=definitions))
            except NotPublishedError:
                raise
            except _FAILURES as error:
                failed.append(f"{pack.id}: {_words(error)}")
    if failed:
        raise PipelineError("; ".join(failed))
    return deliveries


def record(settings: Settings) -> list[dict[str, Any]]:
    """The last hundred rows of ops.report, the newest first."""
    with connect("jm_builder", settings=settings) as connection:
        query = "select * from ops.report order by to_date desc, pack_id limit 100"
        return connection.cursor(row_factory=dict_row).execute(query).fetchall()


def table(data: Result) -> bytes:
    """A result as CSV that a spreadsheet reads as UTF-8, and none of it as a formula."""
    text = io.StringIO()
    rows = ([_cell(value) for value in row] for row in data.rows)
    csv.writer(text).writerows([data.columns, *rows])
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.lstrip().startswith(_FORMULA) else value


def _deliver(
    settings: Settings, ledger: psycopg.Connection, pack: Pack, as_of: date | None, *, again: bool,
    definitions: Path | None,
) -> Delivery:  # fmt: skip
    assert pack.report is not None  # noqa: S101 - deliver() takes no others
    with connect("jm_report", settings=settings, autocommit=True) as mart:  # a publication need not wait for the end
        mart.execute("select set_config('journeymart.departments', %s, false)", (pack.owner,))
        with published():
            facts = content.facts(mart)
        until = facts["until_date"]
        if as_of and as_of > until:
            raise JourneymartError(f"the data have come to {facts['as_of']}: what is over on {as_of} is not known")
        first, last = pack.report.period(as_of or until)
        folder = settings.reports / pack.owner / last.isoformat() / pack.id
        delivery = Delivery(pack.id, pack.owner, first, last, "waiting", folder)
        if last < facts["first_date"]:
            return delivery
        entry = _Entry(ledger, {"pack_id": pack.id, "from_date": first, "to_date": last})
        with entry.failures():
            state = entry.state()
            is_made = state["made_at"] is not None and not again
            if is_made and as_of is None and state["days"] >= PATIENCE[pack.report.every]:
                raise JourneymartError(f"the data stand still at {facts['as_of']}, so there is no new report")
            if not is_made:
                found = content.ask(mart, pack, (first, last), definitions)
                page = _page(settings, found).encode()
                entry.write(_AGAIN)  # cut short from here on, it is made by the next
                _put(folder, found, page)
                sha256 = hashlib.sha256(page).hexdigest()
                entry.write(_MADE, publication_id=found.facts["publication_id"], sha256=sha256)
    if not pack.report.recipients or "host" not in settings.smtp:
        return replace(delivery, state="done" if is_made else "made")
    with entry.failures():
        is_sent = _send(settings, entry, pack, folder)
    return replace(delivery, state="sent" if is_sent else "done", recipients=entry.state()["recipients"])


@dataclass(frozen=True)
class _Entry:
    """The row of a report; every write counts at once."""

    ledger: psycopg.Connection
    key: Mapping[str, Any]

    def state(self) -> dict[str, Any]:
        """The row, as far as it is there."""
        row = self.ledger.cursor(row_factory=dict_row).execute(_STATE, self.key).fetchone()
        return row or {"made_at": None}

    def write(self, statement: LiteralString, **values: Any) -> None:
        """One of the statements above."""
        self.ledger.execute(statement, {**self.key, **values})

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Write down why it was not made or not sent."""
        try:
            yield
        except _FAILURES as error:
            self.write(_FAILED, error=_words(error))
            raise


def _send(settings: Settings, entry: _Entry, pack: Pack, folder: Path) -> bool:
    """Mail a report unless it has been; true if it was now. It is written down before the server is given it: who finds
    that without an end does not know whether it came, and does not mail it a second time."""
    state = entry.state()
    if state["sending_at"] is not None:
        if state["error"] or state["sent_at"] is None:
            raise JourneymartError(
                state["error"] or "mailing was cut short: ask whether it came; --again mails it again"
            )
        return False
    message = mail.message(settings, pack, folder, state["sha256"])
    with mail.server(settings) as server:
        entry.write(_SENDING, is_sending=True)
        try:
            refused = server.send_message(message)
        except mail.NOT_TAKEN:
            entry.write(_SENDING, is_sending=False)
            raise
        error = f"the mail server refused {', '.join(sorted(refused))}; the others have it" if refused else None
        entry.write(_SENT, recipients=len(message["To"].addresses) - len(refused), error=error)
    if error:
        raise JourneymartError(error)
    return True


def _page(settings: Settings, found: content.Content) -> str:
    """The report as one HTML page that loads nothing."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_text,
    )  # fmt: skip
    dashboard = f"{settings.dashboards_url}/superset/dashboard/{found.pack.id.lower()}"
    return pages.get_template("report.html.j2").render(
        content=found, shown=content.shown, docs=settings.docs_url, dashboard=dashboard
    )


def _text(value: Any) -> Any:
    """Names show no character that turns the direction of what follows; markup is another type."""
    return one_line(" ".join(value.split())) if type(value) is str else value


def _put(folder: Path, found: content.Content, page: bytes) -> None:
    """Write the files of a report; the folder has its name only when they are complete."""
    files = {f"{name}.csv": table(data) for section in found.sections for name, data in section.data.items()}
    unfinished = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    try:
        unfinished.mkdir(mode=0o750)
        for name, data in {"report.html": page, **files}.items():
            with replacing(unfinished / name) as file:
                os.fchmod(file.fileno(), 0o640)
                file.write(data)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _words(error: Exception) -> str:
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    words = one_line(" ".join((said or str(error)).split()))
    if isinstance(error, OSError | psycopg.OperationalError) and not isinstance(error, smtplib.SMTPException):
        words += "; once that is mended, `journeymart report` makes what is missing"
    return words
