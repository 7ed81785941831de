"""Makes the whole bank: simulates day after day, writes the landing zone and truth.json."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from journeymart.sample.arrival import Delivery
from journeymart.sample.banking import Bank, Filing, Line, amount_total, unknown_message
from journeymart.sample.messages import CHANNELS, UNKNOWN_CODE, UNKNOWN_EVERY_DAYS, Messages
from journeymart.sample.pages import Site
from journeymart.sample.population import MIN_CUSTOMERS, Population
from journeymart.sample.render import Renderer
from journeymart.sample.simulate import EVENTS_PER_CUSTOMER_DAY, Rows, Simulator
from journeymart.sample.truth import TruthBook
from journeymart.sample.write import FORMATS, SUFFIX, write_clickstream, write_csv, write_done, write_ndjson, write_text

DEFAULT_START: Final = dt.date(2026, 6, 1)
EARLIEST_START: Final = dt.date(1970, 1, 1)
LATEST_START: Final = dt.date(2200, 1, 1)
BENCHMARK_NODES: Final = 300
TRUTH: Final = "truth.json"
# In the mixed format most days are NDJSON; one day a week each is Parquet and CSV.
_PARQUET_DAY, _CSV_DAY, _WEEK = 2, 3, 7
_WRITERS: Final = 2
_MOST_WAITING: Final = 3


@dataclass(frozen=True, slots=True)
class Spec:
    """What to make.

    Attributes:
        out: the landing zone.
        customers, days, seed, start: size and origin of the bank.
        file_format: of the clickstream: ``mixed``, ``ndjson``, ``csv`` or ``parquet``.
        nodes: number of different screens, when more than the catalogue has.
        from_day: write only the folders from this day (1…) on; the days before are simulated, not written.
        file_events: cut each day's clickstream into files of at most this many lines (micro-batches).
    """

    out: Path
    customers: int
    days: int
    seed: int
    start: dt.date = DEFAULT_START
    file_format: str = "mixed"
    nodes: int | None = None
    from_day: int = 1
    file_events: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        limits = (
            ("customers", self.customers, MIN_CUSTOMERS, 100_000_000),
            ("days", self.days, 1, 36_500),
            ("seed", self.seed, 0, 2**63 - 1),
            ("nodes", self.nodes or 1, 1, 30_000),
            ("file_events", self.file_events or 1, 1, 2**63 - 1),
        )
        for name, value, least, most in limits:
            if not least <= value <= most:
                raise ValueError(f"{name} must be between {least} and {most}, not {value}")
        if not EARLIEST_START <= self.start <= LATEST_START:
            raise ValueError(f"start must lie between {EARLIEST_START} and {LATEST_START}, not {self.start}")
        if not 1 <= self.from_day <= self.days:
            raise ValueError(f"from_day must lie between 1 and {self.days}, not {self.from_day}")
        if self.file_format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {self.file_format}")

    @property
    def bank(self) -> dict[str, Any]:
        """The parameters that decide who the bank's customers are and what they do."""
        return {
            "seed": self.seed,
            "customers": self.customers,
            "start": self.start.isoformat(),
            "nodes": self.nodes,
        }

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters that decide the bytes of the files."""
        return self.bank | {"days": self.days, "format": self.file_format, "file_events": self.file_events}


def customers_for(events: int, days: int) -> int:
    """Return how many customers leave about `events` lines of clickstream in `days` days."""
    return max(MIN_CUSTOMERS, round(events / (days * EVENTS_PER_CUSTOMER_DAY)))


def generate(spec: Spec, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Write the landing zone of `spec` and its truth.json.

    The same `spec` gives the same bytes; more days leave the folders of the earlier days as they are.

    Args:
        spec: what to make.
        progress: called with the number of days done after each day.

    Returns:
        The content of truth.json. It describes all days, also those that `from_day` left out of writing.

    Raises:
        ValueError: the landing zone holds another bank, whose files would be mixed with this one's.
        OSError: a file could not be written.
    """
    _refuse_other_bank(spec)
    people, site = Population(spec.seed, spec.customers, spec.start), Site(spec.nodes)
    maker = _Maker(spec, people, site)
    with ThreadPoolExecutor(_WRITERS) as pool:
        for day in range(1, spec.days + 1):
            for job in maker.day(day):
                if day >= spec.from_day:
                    maker.submit(pool, job)
            if progress:
                progress(day)
        maker.finish()
    truth = maker.book.result()
    spec.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(truth, ensure_ascii=False, indent=1)
    (spec.out / TRUTH).write_text(text + "\n", encoding="utf-8")
    return truth


def _refuse_other_bank(spec: Spec) -> None:
    path = spec.out / TRUTH
    if not path.exists():
        return
    there = json.loads(path.read_text(encoding="utf-8")).get("parameters", {})
    wanted = spec.parameters if spec.from_day == 1 else spec.bank
    if {name: there.get(name) for name in wanted} != wanted:
        raise ValueError(f"{spec.out} holds another sample bank ({there}); choose an empty directory")


Job = Callable[[], None]
SOURCES: Final = (
    "transactions",
    "consultations",
    "campaign_sends",
    "subscriptions",
    "survey_responses",
    "consents",
)
"""What the bank's own systems send, day by day."""


class _Maker:
    """Everything that is kept from day to day."""

    def __init__(self, spec: Spec, people: Population, site: Site) -> None:
        self.spec, self.people = spec, people
        self.simulator = Simulator(people, site)
        self.bank = Bank(people, site)
        self.delivery = Delivery(spec.seed)
        self.filing = {source: Filing(spec.seed) for source in SOURCES}
        self.renderer = Renderer(people, site)
        self.messages = Messages()
        self.book = TruthBook(people, site, spec.parameters)
        self._waiting: set[Future[None]] = set()

    def day(self, number: int) -> Iterator[Job]:
        """Simulate day `number`, enter its files into the book and yield what writes them."""
        yield from self._customers(number)
        rows, done = self.simulator.day(number)
        booked = self.bank.day(number, done, rows, self.simulator.busy_until)
        for source in SOURCES:
            self.filing[source].accept(getattr(booked, source))
        self.delivery.accept(rows, number)
        file_format = self._format(number)
        for late_file, arrived in self.delivery.files(number, file_format):
            yield from self._clickstream(number, arrived, late_file, file_format)
        yield from self._transactions(number)
        for source in ("consultations", "subscriptions", "survey_responses"):
            yield from self._ndjson(source, number)
        for source in ("campaign_sends", "consents"):
            yield from self._csv(source, number)

    def submit(self, pool: ThreadPoolExecutor, job: Job) -> None:
        """Write in the background, with a bounded number of files in memory."""
        if len(self._waiting) >= _MOST_WAITING:
            finished, self._waiting = wait(self._waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
        self._waiting.add(pool.submit(job))

    def finish(self) -> None:
        """Wait for all files; raise what went wrong."""
        for future in self._waiting:
            future.result()

    def _format(self, number: int) -> str:
        if self.spec.file_format != "mixed":
            return self.spec.file_format
        return {_PARQUET_DAY: "parquet", _CSV_DAY: "csv"}.get(number % _WEEK, "ndjson")

    def _path(self, source: str, number: int, name: str) -> tuple[Path, str]:
        date = (self.spec.start + dt.timedelta(days=number - 1)).isoformat()
        relative = f"{source}/{date}/{name.format(date=date)}"
        return self.spec.out / relative, relative

    def _clickstream(self, number: int, rows: Rows, late_file: bool, file_format: str) -> Iterator[Job]:
        size = self.spec.file_events or len(rows)
        for part, begin in enumerate(range(0, len(rows), size), 1):
            chunk = rows[begin : begin + size]
            suffix = f"-{part:05d}" if self.spec.file_events else ""
            if late_file:
                name = f"clickstream-late-{{date}}{suffix}.ndjson.zst"
            else:
                name = f"clickstream-{{date}}{suffix}{SUFFIX[file_format]}"
            path, relative = self._path("clickstream", number, name)
            self.book.clickstream(relative, number, chunk)
            yield self._events_job(path, chunk)

    def _events_job(self, path: Path, rows: Rows) -> Job:
        def job() -> None:
            write_clickstream(path, rows, self.renderer)
            if ".ndjson" in path.suffixes:
                write_done(path, len(rows))

        return job

    def _transactions(self, number: int) -> Iterator[Job]:
        booked = self.filing["transactions"].transactions(number)
        # Branches and cash machines send messages of fixed width, everybody else JSON; what is broken is broken JSON.
        core = [line for line in booked if line.defect is None and line.record["channel"] in CHANNELS]
        yield from self._core_messages(number, core)
        lines = [line for line in booked if line.defect is not None or line.record["channel"] not in CHANNELS]
        if not lines:
            return
        path, relative = self._path("transactions", number, "transactions-{date}.ndjson.gz")
        self.book.transactions(relative, number, lines)

        def job() -> None:
            write_ndjson(path, (line.text for line in lines))
            write_done(path, len(lines), sha256=True, totals={"amount": f"{amount_total(lines):.2f}"})

        yield job

    def _core_messages(self, number: int, lines: list[Line]) -> Iterator[Job]:
        if not lines:
            return
        if number % UNKNOWN_EVERY_DAYS == 0:
            lines.append(unknown_message(lines[-1].record, f"U{number:04d}-0000000", UNKNOWN_CODE))
        path, relative = self._path("transactions", number, "core-{date}.dat.gz")
        self.book.transactions(relative, number, lines)
        date = (self.spec.start + dt.timedelta(days=number - 1)).isoformat()
        yield lambda: write_text(path, self.messages.content(lines, date))

    def _customers(self, number: int) -> Iterator[Job]:
        chosen = np.arange(self.people.customers) if number == 1 else self.people.change(number)
        if not len(chosen):
            return
        if number > 1:
            self.book.change(number, chosen)
        records = self.people.records(chosen, number)
        path, relative = self._path("customers", number, "customers-{date}.ndjson.gz")
        self.book.other("customers", relative, number, len(records))

        def job() -> None:
            write_ndjson(path, (json.dumps(record, ensure_ascii=False) for record in records))
            write_done(path, len(records), sha256=True)

        yield job

    def _ndjson(self, source: str, number: int) -> Iterator[Job]:
        records = self.filing[source].records(number)
        if not records:
            return
        path, relative = self._path(source, number, f"{source}-{{date}}.ndjson.gz")
        self.book.other(source, relative, number, len(records))
        yield lambda: write_ndjson(path, (json.dumps(record, ensure_ascii=False) for record in records))

    def _csv(self, source: str, number: int) -> Iterator[Job]:
        records = self.filing[source].records(number)
        if not records:
            return
        path, relative = self._path(source, number, f"{source}-{{date}}.csv.gz")
        self.book.other(source, relative, number, len(records))

        def job() -> None:
            write_csv(path, records)
            write_done(path, len(records))

        yield job
