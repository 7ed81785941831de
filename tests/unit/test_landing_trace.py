"""How lines of files are found, and shown."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from journeymart.definitions.sources import load_sources
from journeymart.landing.files import landed_as
from journeymart.landing.trace import Tracer, _numbers_with, _texts, _words_at
from journeymart.settings import Settings


def test_words_are_found_as_a_regular_expression_finds_them() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        data = bytes(chance.choices(b'ab-"\n1', k=chance.randrange(40)))
        word = bytes(chance.choices(b"ab-1", k=chance.randrange(1, 4)))
        # overlapping ones, too: the match itself is looked at and not taken
        pattern = rb"(?<![0-9A-Za-z])(?=" + re.escape(word) + rb"(?![0-9A-Za-z]))"
        assert list(_words_at(data, {word})) == [match.start() for match in re.finditer(pattern, data)]


def test_a_record_of_several_lines_is_one(tmp_path: Path) -> None:
    lines = ["event_id,click_text,visitor_id", 'e1,"a', 'b",v1', '"e', '2",c,v2', "e3,d,v3"]
    (tmp_path / "a.csv").write_text("\r\n".join(lines), encoding="utf-8")
    plan = load_sources().sources["clickstream"]
    file = landed_as(tmp_path, "clickstream", plan, tmp_path / "a.csv")
    assert file
    found = [list(_numbers_with(file, value, ["event_id"], plan)) for value in ("v1", "v3", "visitor_id")]
    assert found == [[2], [6], []]
    assert dict(_texts(file, {1, 2, 3, 6}, plan)) == {
        1: lines[0], 2: "\r\n".join(lines[1:3]), 3: lines[2], 6: lines[5]
    }  # fmt: skip


def test_messages_are_shown_in_their_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEYMART_HOME", str(tmp_path))
    file = tmp_path / "transactions" / "a.dat"
    file.parent.mkdir()
    file.write_bytes("자유적금".encode("cp949"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    row = {"source": "transactions", "path": "transactions/a.dat", "format": "messages", "sha256": digest}
    tracer = Tracer(Settings.load(), landing=tmp_path, unmasked=True)
    assert list(tracer._read(row, {1})) == [(1, "자유적금")]
