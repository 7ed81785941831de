"""Cutting files into rows: every line keeps its number, and a bad line costs nothing but itself."""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeymart.landing import readers
from journeymart.landing.parquet import read_parquet
from journeymart.landing.readers import Chunk, FileRejectedError, read_csv, read_lines

DIRTY_CSV = (
    b"\xef\xbb\xbfa,b\r\n"  # 1
    b"1,2\r\n"
    b"\r\n"
    b'3,"x\n\ny"\n'  # 4 to 6
    b"4,5,6\n"
    b"7\n"
    b'8,5" screen\n'  # 9
    b'"9"z,10\n'
    b'11,"open\n'
    b"12,13\n"  # 12
    b"b\xff,1\n"
    b"c\0,2\n"
    b'\xed\x95\x9c,"q""q"\n'  # 15
    b'"l1\nl2","m\n"\n'  # 16 to 18
    b"99,100"
)
CSV_ROWS = [
    (2, "1", "2"),
    (4, "3", "x\n\ny"),
    (9, "8", '5" screen'),
    (10, "9z", "10"),
    (12, "12", "13"),
    (15, "한", 'q"q'),
    (16, "l1\nl2", "m\n"),
    (19, "99", "100"),
]
CSV_REJECTS = [
    (7, "The line has 3 values instead of 2.", "4,5,6"),
    (8, "The line has 1 values instead of 2.", "7"),
    (11, "A quoted value is never closed.", '11,"open'),
    (13, "The line is not UTF-8 at byte 2.", r"b\xff,1"),
    (14, "The line contains a NUL byte.", r"c\x00,2"),
]


def rows(chunks: list[Chunk]) -> list[tuple[Any, ...]]:
    return [
        tuple(value for name, value in row.items() if name != readers.LINE)
        for chunk in chunks
        for row in chunk.table.to_pylist()
    ]


def rejects(chunks: list[Chunk]) -> list[tuple[int, str, str]]:
    return sorted((reject.line_no, reject.reason, reject.line) for chunk in chunks for reject in chunk.rejects)


@pytest.mark.parametrize("block", [3, 5, 8, 13, 40, 10_000])
def test_csv_rows_do_not_depend_on_where_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int):
    monkeypatch.setattr(readers, "CHUNK_BYTES", block)
    file = tmp_path / "x.csv"
    file.write_bytes(DIRTY_CSV)
    chunks = list(read_csv(file, None, ",", None))
    assert rows(chunks) == CSV_ROWS
    assert rejects(chunks) == CSV_REJECTS


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b'tv 55" a,"x\ny"\nchair,"n\no"\ndesk,p\n', [(4, "chair", "n\no"), (6, "desk", "p")]),
        (b'tv 55" a,"x\ny"\nchair,"n\np,q"\n', [(4, "chair", "n\np,q")]),
        (b'5" a,"v\n b,c\n d",e\nf,g\rh,i\rj,k\n', [(3, " b", "c"), (4, ' d"', "e")]),
        (b"a,b\rc\nd,e\n", [(3, "d", "e")]),
    ],
)
def test_a_stray_quote_costs_no_other_record(tmp_path: Path, content: bytes, kept: list[tuple[Any, ...]]):
    """Where it makes one row of two records and another record becomes two, there are as many rows as records."""
    file = tmp_path / "x.csv"
    file.write_bytes(b"a,b\n" + content)
    chunks = list(read_csv(file, None, ",", None))
    assert rows(chunks) == kept
    assert 2 in {line_no for line_no, _, _ in rejects(chunks)}


PIECES = ["a", "b", ",", '"', "\n", "\r", "\r\n", "a,b\n", '"a",b\n', '""']


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_what_becomes_of_a_record_does_not_depend_on_those_beside_it(content: str):
    """Arrow, which takes all records at once, and the reader that takes them one by one find the same."""
    found = []
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as change:
        file = Path(directory) / "x.csv"
        file.write_text(content, encoding="utf-8", newline="")
        for one_by_one in (False, True):
            if one_by_one:
                change.setattr(readers, "_is_regular", lambda *_: False)
            chunks = list(read_csv(file, None, ",", ["a", "b"]))
            found.append((rows(chunks), [(line_no, line) for line_no, _, line in rejects(chunks)]))
    assert found[0] == found[1]
    numbers = [number for number, *_ in (*found[0][0], *found[0][1])]
    assert len(numbers) == len(set(numbers))


def test_a_header_within_is_no_row(tmp_path: Path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"a,b\n1,2\na,b\n\xef\xbb\xbfa,b\na,\n")
    chunks = list(read_csv(file, None, ",", None))
    assert rows(chunks) == [(2, "1", "2"), (5, "a", None)]
    assert [(line_no, reason) for line_no, reason, _ in rejects(chunks)] == [(3, readers.HEADER), (4, readers.HEADER)]


@pytest.mark.parametrize("bad", [b"\xff", b"\0", b"x" * (readers.MAX_LINE_BYTES + 1)])
def test_a_record_goes_with_a_line_of_it_that_is_no_text(tmp_path: Path, bad: bytes):
    file = tmp_path / "x.csv"
    file.write_bytes(b'a,b\n1,"x\n' + bad + b'\ny"\n2,z\n')
    chunks = list(read_csv(file, None, ",", None))
    assert rows(chunks) == [(5, "2", "z")]
    assert [line_no for line_no, _, _ in rejects(chunks)] == [2, 3, 4]


@pytest.mark.parametrize("block", [1, 4, 17, 10_000])
def test_lines_keep_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int):
    monkeypatch.setattr(readers, "CHUNK_BYTES", block)
    file = tmp_path / "x.ndjson"
    file.write_bytes(b"{}\n\n  \n\xff\n[1]\r\nlast")
    chunks = list(read_lines(file, None))
    assert [number for number, *_ in rows(chunks)] == [1, 5, 6]
    assert rejects(chunks) == [(4, "The line is not UTF-8 at byte 1.", r"\xff")]


@pytest.mark.parametrize("block", [1, 5, 10_000])
def test_text_of_another_encoding_becomes_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int):
    monkeypatch.setattr(readers, "CHUNK_BYTES", block)
    file = tmp_path / "x.csv"
    file.write_bytes('이름,a\n홍길동,1\n"둘\n줄",2\n'.encode("cp949") + b"\xb0\n" + "똠방각하,3".encode("cp949"))
    chunks = list(read_csv(file, None, ",", None, "cp949"))
    assert rows(chunks) == [(2, "홍길동", "1"), (3, "둘\n줄", "2"), (6, "똠방각하", "3")]
    assert rejects(chunks) == [(5, "The line is not CP949 at byte 1.", r"\xb0")]


@pytest.mark.parametrize("block", [2, 9, 10_000])
def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int):
    monkeypatch.setattr(readers, "CHUNK_BYTES", block)
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 10)
    file = tmp_path / "x.ndjson"
    file.write_bytes(b"a\n" + b"x" * 50 + b"\nb\n" + b"y" * 30)
    chunks = list(read_lines(file, None))
    assert [number for number, *_ in rows(chunks)] == [1, 3]
    assert [(number, line) for number, _, line in rejects(chunks)] == [(2, "x" * 10), (4, "y" * 10)]


def test_concatenated_gzip_members_are_one_file(tmp_path: Path):
    file = tmp_path / "x.ndjson.gz"
    file.write_bytes(gzip.compress(b"1\n2\n") + gzip.compress(b"3\n"))
    assert len(rows(list(read_lines(file, "gzip")))) == 3


@pytest.mark.parametrize(
    ("compression", "content"),
    [
        # the same bytes in every process that collects the tests
        ("gzip", gzip.compress(b"a line\n" * 10_000, mtime=0)[:-20]),
        ("gzip", gzip.compress(b"a line\n", mtime=0) + b"garbage"),
        ("gzip", b"not compressed at all"),
        ("zstd", pa.compress(b"a line\n" * 10_000, "zstd", asbytes=True)[:-5]),
    ],
)
def test_a_damaged_archive_is_rejected_as_a_whole(tmp_path: Path, compression: str, content: bytes):
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(FileRejectedError, match="cannot be decompressed"):
        list(read_lines(file, compression))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a,A", "the same name for its columns 1 and 2"),
        ("a,", "without a name"),
        ("a,_line", "reserved"),
        (",".join(f"c{n}" for n in range(1001)), "1,001 columns, more than 1,000"),
    ],
)
def test_an_ambiguous_header_is_rejected(tmp_path: Path, header: str, message: str):
    file = tmp_path / "x.csv"
    file.write_text(f"{header}\n1,2\n")
    with pytest.raises(FileRejectedError, match=message):
        list(read_csv(file, None, ",", None))


def test_columns_can_be_named_for_a_file_without_header(tmp_path: Path):
    file = tmp_path / "x.csv"
    file.write_text("1;2\n3;4\n")
    assert rows(list(read_csv(file, None, ";", ["a", "b"]))) == [(1, "1", "2"), (2, "3", "4")]


def test_blank_lines_cost_next_to_nothing(tmp_path: Path):
    """A compressed file of a hundred kilobytes can be a hundred million of them."""
    file = tmp_path / "x.ndjson"
    file.write_bytes(b"\n" * 10_000_000 + b" \t\r\n\v\f\n" * 1_000_000 + b" {}\n")
    started = time.process_time()
    assert [chunk.table.column("_line_no").to_pylist() for chunk in read_lines(file, None)] == [[12_000_001]]
    assert time.process_time() - started < 6  # 2 on a slow machine; a look at each line took 12 on a faster one


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n"])
def test_a_file_without_rows_is_no_mistake(tmp_path: Path, content: bytes):
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    assert rows(list(read_csv(file, None, ",", None))) == []


def test_parquet_rows_are_numbered_from_one(tmp_path: Path):
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": range(100_000)}), file)
    numbered = rows(list(read_parquet(file)))
    assert numbered[0] == (1, 0)
    assert numbered[-1] == (100_000, 99_999)


def test_a_damaged_parquet_file_is_rejected(tmp_path: Path):
    file = tmp_path / "x.parquet"
    file.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(FileRejectedError, match="not readable as Parquet"):
        list(read_parquet(file))


@pytest.mark.parametrize("bit", [0, 7])
def test_a_bit_of_parquet_that_is_wrong_ends_nothing(tmp_path: Path, bit: int):
    """Arrow ends the process where it looks at damaged statistics."""
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": ["x", "y", "x"]}), file, compression="none")
    content = file.read_bytes()
    rejected = 0
    for place in range(4, len(content) - 8):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        try:
            list(read_parquet(file))
        except FileRejectedError:
            rejected += 1
    assert rejected > len(content) / 2


def test_a_process_that_is_killed_leaves_no_uncompressed_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = tmp_path / "a.parquet.gz"
    with pa.output_stream(file, compression="gzip") as stream:
        pq.write_table(pa.table({"a": [1]}), stream)
    with readers.uncompressed(file, "gzip") as plain:
        assert list(tmp_path.iterdir()) == [file]
        assert pq.read_table(plain).to_pylist() == [{"a": 1}]
