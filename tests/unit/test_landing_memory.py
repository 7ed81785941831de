"""A small file may unfold to gigabytes: readers take no more memory for it than for others, or say why it is refused.

Each file is read by a process of its own, whose peak is what the kernel says of it.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.unit.test_landing_messages import LAYOUT

from journeymart.settings import REPO

MEGABYTES = 320  # 100 of them before the file is opened
MILLION = 10**6
READ = """
import re, sys
from pathlib import Path
from journeymart.definitions.transactions import load_transactions
from journeymart.landing import messages, parquet, readers

file = Path(sys.argv[1])
chunks = {
    ".parquet": lambda: parquet.read_parquet(file),
    ".ndjson": lambda: readers.read_lines(file, "gzip"),
    ".csv": lambda: readers.read_csv(file, "gzip", ",", None),
    ".dat": lambda: messages.read_messages(file, "gzip", load_transactions(file.parent)),
}[file.suffixes[0]]
rows = rejects = 0
try:
    for chunk in chunks():
        rows, rejects = rows + chunk.table.num_rows, rejects + len(chunk.rejects)
except readers.FileRejectedError as error:
    print(error)
else:
    print(rows, rejects)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def zeros(rows: int) -> pa.Array:
    return pa.nulls(rows, pa.int32()).fill_null(0)


def meant_by_all(text: str, rows: int) -> pa.Array:
    """A text that is written once."""
    return pa.DictionaryArray.from_arrays(zeros(rows), [text])


def write(file: Path, column: pa.Array, **options: Any) -> None:
    # not the Arrow type it was made of, which other writers do not know
    parquet.write_table(pa.table({"a": column}), file, compression="zstd", store_schema=False, **options)


def zipped(file: Path, *parts: bytes) -> None:
    file.write_bytes(b"".join(gzip.compress(part, 1) for part in parts))


FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "one text for all rows": ("a.parquet", lambda file: write(file, meant_by_all("x" * 200_000, 8_000)), "8000 0"),
    "one that is too long": ("a.parquet", lambda file: write(file, meant_by_all("x" * 4 * 2**20, 300)), "0 300"),
    "a list of one text": (
        "a.parquet",
        lambda file: write(file, pa.ListArray.from_arrays([0, MILLION], meant_by_all("x" * 2_000, MILLION))),
        "0 1",
    ),
    "a list without end": (
        "a.parquet",
        lambda file: write(file, pa.ListArray.from_arrays([0, 40 * MILLION], pa.nulls(40 * MILLION, pa.int8()))),
        "has 40,000,000 values in the lists of its row group 1, more than 33,554,432; write smaller row groups",
    ),
    "texts that begin alike": (
        "a.parquet",
        lambda file: write(
            file, pa.array(["x" * 900_000 + str(number) for number in range(600)]), use_dictionary=False,
            column_encoding={"a": "DELTA_BYTE_ARRAY"}, write_batch_size=10,
        ),
        "600 0",
    ),
    "texts that are written one by one": (
        "a.parquet",
        lambda file: write(
            file, pa.array(["x" * 100_000 + str(number) for number in range(5_000)]), use_dictionary=False,
            write_batch_size=50,
        ),
        "5000 0",
    ),
    "a page of one letter": (
        "a.parquet",
        lambda file: write(file, pa.array(["x" * 300 * 2**20]), use_dictionary=False, write_statistics=False),
        "has pages of 314,572,810 bytes together in its row group 1, more than 268,435,456; pages of 1 MB are usual",
    ),
    "lines that are no text": ("a.ndjson.gz", lambda file: zipped(file, b"\0\n" * 600_000), "0 600000"),
    "lines of one letter": ("a.csv.gz", lambda file: zipped(file, b"a,b\n", b"x\n" * 600_000), "0 600000"),
    "few of many entries": (
        "a.dat.gz",
        lambda file: zipped(file, b"H\n", b"D001GR00000000\n" * 30_000, b"T99900000000\n"),
        "has messages 30000, but its trailer (line 30002) declares 999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_what_unfolds_takes_no_more_memory(tmp_path: Path, kind: str):
    name, make, outcome = FILES[kind]
    file = tmp_path / name
    make(file)
    (tmp_path / "transactions.yml").write_text(LAYOUT.replace("times: 3", "times: 999"), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", READ, str(file)], env={**os.environ, "PYTHONPATH": str(REPO / "plugins")},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    said, peak = ended.stdout.splitlines()
    assert said == outcome
    # Where texts may begin as the one before, their length is guessed by the page they are on; of pages Arrow keeps
    # some memory for a while.
    limit = {"texts that begin alike": 4, "texts that are written one by one": 2}.get(kind, 1) * MEGABYTES
    assert int(peak) / 1024 < limit, f"{kind}: {int(peak) // 1024} MB"
    assert file.stat().st_size < MILLION
