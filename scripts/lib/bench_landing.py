"""Measure landing: every format beside a plain COPY of the same rows, memory by file size, cost by ledger size.

scripts/bench landing          one million events, docs/benchmarks/landing.md
scripts/bench landing --millions 0.2 --dry
scripts/bench landing --only memory many    these sections, in their place in the file
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import duckdb
from measuring import REPO, Measured, machine, measure, server
from pyarrow import parquet

from journeymart.db import connect
from journeymart.definitions.sources import load_sources
from journeymart.definitions.transactions import Number, load_transactions
from journeymart.platform.postgres import Postgres
from journeymart.settings import Settings

RESULTS = REPO / "docs" / "benchmarks" / "landing.md"
DAYS = 30
# One compressed file each, of so many times the events of the bank.
MEMORY_SIZES = (0.5, 2)
MANY_FILES, LINES_EACH = 10_000, 20
LEDGER_SIZES = (10, 100_000)
LEDGER_EVENTS = 10_000
MESSAGES = 300_000
SECTIONS = ("formats", "memory", "many", "ledger")
INTRODUCTION = """# Landing

One run each, in a process of its own on a new warehouse. CPU: our own + PostgreSQL's; it holds on a busy machine, the
wall clock does not. Memory: peak of our process + peak of PostgreSQL's processes, without shared buffers.
"""
PG_TYPES = {"time": "timestamptz", "date": "date", "integer": "integer", "decimal": "numeric(20, 4)", "json": "jsonb"}
# Copies a CSV file as it is: the peer.
COPY = """
import sys
from journeymart.db import connect
with connect("jm_admin") as warehouse, open(sys.argv[1], "rb") as file:
    with warehouse.cursor().copy("copy peer from stdin (format csv, header)") as copy:
        while block := file.read(1 << 20):
            copy.write(block)
"""


def main() -> None:
    """Run what the arguments ask for and write the results file."""
    arguments = argparse.ArgumentParser(
        prog="scripts/bench landing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--millions", type=float, default=1.0, help="events per format, in millions")
    arguments.add_argument("--gigabytes", type=float, default=5.0, help="size of the one large file, not compressed")
    arguments.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to measure")
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    with server() as settings, tempfile.TemporaryDirectory(prefix="journeymart-bench-") as folder:
        bench = _Bench(settings, Path(folder), int(given.millions * 1e6))
        for section in given.only:
            busy = os.getloadavg()[0]
            heading, *lines = {
                "formats": bench.formats,
                "memory": lambda: bench.memory(given.millions, given.gigabytes),
                "many": bench.many,
                "ledger": bench.ledger,
            }[section]()
            text = "\n".join(
                [
                    heading,
                    "",
                    f"{machine('scripts/bench landing')}; load average {busy:.1f} before the start.",
                    "",
                    *lines,
                ]
            )
            print(text)
            if not given.dry:
                _write(heading, text)


def _write(heading: str, text: str) -> None:
    """Put a section in its place in the results file, which keeps the others."""
    RESULTS.parent.mkdir(exist_ok=True)
    written = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    _, *sections = f"\n{written}".split("\n## ")
    kept = {f"## {section.split(chr(10), 1)[0]}": f"## {section.strip()}" for section in sections}
    kept[heading] = text.strip()
    RESULTS.write_text("\n\n".join([INTRODUCTION.strip(), *kept.values()]) + "\n", encoding="utf-8")


class _Bench:
    """The measurements, on one server; `events` is the size of the synthetic bank."""

    def __init__(self, server: Settings, folder: Path, events: int) -> None:
        self.server = server
        self.folder = folder
        self.warehouses = 0
        self.fields = load_sources().sources["clickstream"].fields
        self._say("making files")
        bank = folder / "bank"
        self._measure(server, "sample", "--out", str(bank), "--events", str(events), "--days", str(DAYS),
                      "--format", "ndjson")  # fmt: skip
        self.files = sorted((bank / "clickstream").rglob("*.ndjson.gz"))
        for file in self.files:
            self._link(file, "gz NDJSON", "clickstream")
        self.rows = self._convert()
        self._messages(min((bank / "transactions").rglob("*.dat*")))

    # ── files ──

    def _link(self, file: Path, zone: str, source: str) -> None:
        target = self.folder / zone / source / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)

    def _convert(self) -> int:
        """The same rows as one CSV and one Parquet file; how many there are. COPY takes no broken times."""
        kinds = {"json": "JSON"}
        columns = ", ".join(f"'{name}': '{kinds.get(field.type, 'VARCHAR')}'" for name, field in self.fields.items())
        for zone, options in (("CSV", "format csv, header"), ("Parquet", "format parquet, compression zstd")):
            target = self.folder / zone / "clickstream"
            target.mkdir(parents=True)
            duckdb.execute(
                f"copy (from read_ndjson({list(map(str, self.files))}, columns = {{{columns}}}, ignore_errors = true)"
                " where try_cast(event_time as timestamptz) is not null)"
                f" to '{target}/events.{zone.lower()}' ({options})"
            )
        return parquet.ParquetFile(target / "events.parquet").metadata.num_rows

    def _messages(self, example: Path) -> None:
        """A file of fixed-width messages: those of the bank's first, repeated, with count and totals to match."""
        layout = load_transactions().file
        if layout is None or layout.leader is None or layout.trailer is None or layout.trailer.rows is None:
            raise SystemExit("the shipped transactions.yml lays out no .dat files with leader and trailer")
        content = gzip.decompress(example.read_bytes()) if example.suffix == ".gz" else example.read_bytes()
        leader, *messages, trailer = content.splitlines(keepends=True)
        times = -(-MESSAGES // len(messages))
        for number in (layout.trailer.rows, *layout.trailer.totals.values()):
            trailer = _multiplied(trailer, number, times)
        target = self.folder / "fixed-width" / "transactions" / "messages.dat"
        target.parent.mkdir(parents=True)
        target.write_bytes(b"".join([leader, *messages * times, trailer]))
        self.messages = len(messages) * times

    # ── measurements ──

    def formats(self) -> list[str]:
        """Every format on an empty warehouse, and the peer."""
        empty = self._warehouse()
        with connect("jm_admin", settings=empty) as warehouse:
            columns = ", ".join(f"{name} {PG_TYPES.get(field.type, 'text')}" for name, field in self.fields.items())
            warehouse.execute(f"create table peer ({columns})".encode())
        file = self.folder / "CSV" / "clickstream" / "events.csv"
        self._say("plain COPY")
        peer = measure(empty, [sys.executable, "-c", COPY, str(file)], _environment(empty))
        lines = [
            "## By format",
            "| what | lines | wall s | CPU s | memory MB | lines/s | CPU s per million | wall beside COPY | target |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---|",
            _row("plain `COPY` of the CSV, no index, nothing checked", self.rows, peer, peer, ""),
        ]
        for zone, target in (
            ("gz NDJSON", "P1: ≥ 150,000/s, ≤ 1.5 × COPY"),
            ("CSV", ""),
            ("Parquet", "P2: ≥ 400,000/s"),
            ("fixed-width", ""),
        ):
            measured, count = self._land(self._warehouse(), zone)
            beside = peer if zone != "fixed-width" else None
            lines.append(_row(zone, count, measured, beside, target))
        return [*lines, ""]

    def memory(self, millions: float, gigabytes: float) -> list[str]:
        """One file of each size: the bank's lines again and again."""
        lines = [
            "## Memory by file size",
            "| NDJSON in one file | lines | wall s | own memory MB | PostgreSQL's MB | CPU s per million |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for size in MEMORY_SIZES:
            zone = f"{size * millions:g} million"
            target = self.folder / zone / "clickstream" / "events.ndjson.gz"
            target.parent.mkdir(parents=True)
            with target.open("wb") as out:  # members of gzip can be joined
                for number in range(round(size * len(self.files))):
                    out.write(self.files[number % len(self.files)].read_bytes())
            lines.append(self._memory_of(zone, f"{zone} events, {target.stat().st_size / 2**20:.0f} MB of gz"))
        zone = "large"
        target = self.folder / zone / "clickstream" / "events.ndjson"
        target.parent.mkdir(parents=True)
        content = gzip.decompress(self.files[0].read_bytes())
        with target.open("wb") as out:
            for number in itertools.count():  # every event has an id of its own
                out.write(content.replace(b'"event_id":"', b'"event_id":"%d-' % number))
                if out.tell() >= gigabytes * 1e9:
                    break
        lines.append(self._memory_of(zone, f"{gigabytes:g} GB, not compressed"))
        return [*lines, "\nTarget P1: < 2,000 MB at any file size."]

    def _memory_of(self, zone: str, what: str) -> str:
        measured, count = self._land(self._warehouse(), zone)
        shutil.rmtree(self.folder / zone)
        return (
            f"| {what} | {count:,} | {measured.wall:.0f} | {measured.own_memory:,.0f} |"
            f" {measured.postgres_memory:,.0f} | {(measured.cpu + measured.postgres_cpu) / count * 1e6:.1f} |"
        )

    def many(self) -> list[str]:
        """As many small files at once as a collector writes in a day."""
        zone = "small files"
        folder = self.folder / zone / "clickstream"
        folder.mkdir(parents=True)
        content = b"".join(gzip.decompress(each.read_bytes()) for each in self.files)
        given = content.splitlines(keepends=True)
        for number in range(MANY_FILES):
            start = number * LINES_EACH % (len(given) - LINES_EACH)
            # a number of its own in the first line: equal content would be a repeat
            first = given[start].replace(b"{", b'{"file_no":%d,' % number, 1)
            (folder / f"{number:05}.ndjson").write_bytes(b"".join([first, *given[start + 1 : start + LINES_EACH]]))
        measured, count = self._land(self._warehouse(), zone)
        again = self._land_again(zone)
        return [
            "## Many small files",
            f"{MANY_FILES:,} NDJSON files of {LINES_EACH} lines at once: {measured.wall:.1f} s,"
            f" CPU {measured.cpu:.1f} + {measured.postgres_cpu:.1f} s, memory {measured.memory:,.0f} MB,"
            f" {count:,} lines; {measured.wall / MANY_FILES * 1000:.1f} ms a file. Once more with nothing new:"
            f" {again.wall:.1f} s.\n",
        ]

    def ledger(self) -> list[str]:
        """One small file, with few and with many files in the ledger."""
        zone = f"{LEDGER_EVENTS:,} events"
        file = self.folder / zone / "clickstream" / "events.ndjson.gz"
        file.parent.mkdir(parents=True)
        content = b"".join(gzip.decompress(each.read_bytes()) for each in self.files[:DAYS])
        file.write_bytes(gzip.compress(b"".join(content.splitlines(keepends=True)[:LEDGER_EVENTS]), 6))
        lines = [
            "## Cost by ledger size",
            "The other files are rows of the ledger alone, inserted for this measurement.\n",
            f"| files in the ledger | {zone} landed in s | CPU s |",
            "|---:|---:|---:|",
        ]
        for size in LEDGER_SIZES:
            warehouse = self._warehouse()
            with connect("jm_admin", settings=warehouse) as connection:
                connection.execute(
                    """
                    insert into raw.file (source, path, sha256, bytes, modified_at, format, status, run_id)
                    select 'clickstream', 'clickstream/' || n, md5(n::text), n, now(), 'ndjson', 'loaded', 'bench'
                    from generate_series(1, %s) as n
                    """,
                    (size,),
                )
            measured, _ = self._land(warehouse, zone)
            lines.append(f"| {size:,} | {measured.wall:.2f} | {measured.cpu:.2f} + {measured.postgres_cpu:.2f} |")
        return lines

    def _land(self, warehouse: Settings, zone: str) -> tuple[Measured, int]:
        """Land a zone; what it took and how many lines there were."""
        self._say(zone)
        measured = self._measure(warehouse, "land", "--landing", str(self.folder / zone))
        self._say(f"{zone}: {measured}")
        with connect("jm_admin", settings=warehouse) as connection:
            row = connection.execute("select sum(rows_read) from raw.file where run_id <> 'bench'").fetchone()
        return measured, int(row[0]) if row else 0

    def _land_again(self, zone: str) -> Measured:
        """Land a zone once more on the last warehouse."""
        return self._land(replace(self.server, pg_database=f"bench_{self.warehouses}"), zone)[0]

    def _measure(self, settings: Settings, *arguments: str) -> Measured:
        return measure(settings, [sys.executable, "-m", "journeymart.cli", *arguments], _environment(settings))

    def _warehouse(self) -> Settings:
        self.warehouses += 1
        settings = replace(self.server, pg_database=f"bench_{self.warehouses}")
        Postgres(settings).provision()
        return settings

    def _say(self, what: str) -> None:
        print(f"landing: {what}", file=sys.stderr)


def _environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "JOURNEYMART_HOME": str(settings.home), "JOURNEYMART_PG_DATABASE": settings.pg_database}


def _multiplied(record: bytes, number: Number, times: int) -> bytes:
    """A record whose number (digits, perhaps behind a sign) is `times` as large."""
    start, end = number.offset or 0, (number.offset or 0) + number.length
    signs = 1 if number.sign == "leading" else 0
    digits = str(int(record[start + signs : end]) * times).zfill(number.length - signs)
    return record[: start + signs] + digits.encode() + record[end:]


def _row(what: str, lines: int, measured: Measured, peer: Measured | None, target: str) -> str:
    cpu = (measured.cpu + measured.postgres_cpu) / lines * 1e6
    beside = f"{measured.wall / peer.wall:.2f}" if peer else ""
    return (
        f"| {what} | {lines:,} | {measured.wall:.1f} | {measured.cpu:.1f} + {measured.postgres_cpu:.1f} |"
        f" {measured.memory:,.0f} | {lines / measured.wall:,.0f} | {cpu:.1f} | {beside} | {target} |"
    )


if __name__ == "__main__":
    main()
