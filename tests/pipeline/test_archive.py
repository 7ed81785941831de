"""Landed files are kept as they came, and found again by their sha256."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.pipeline.zone import Zone, event

from journeymart.landing import load as loading
from journeymart.landing.archive import Archive, Entry
from journeymart.landing.files import LandingFile
from journeymart.landing.quarantine import Filter, replay
from journeymart.landing.readers import FileRejectedError


def kept(zone: Zone) -> dict[str, Path]:
    """Files of the archive by the path they were landed under."""
    archive = Archive(zone.settings.archive)
    rows = zone.query("select source, path, format, sha256 from raw.file where status = 'loaded'")
    return {path: archive.place(Entry(source, path, kind, sha256)) for source, path, kind, sha256 in rows}


@pytest.fixture(autouse=True)
def empty_archive(zone: Zone) -> None:
    shutil.rmtree(zone.settings.archive, ignore_errors=True)


def test_every_loaded_content_is_kept_once_compressed_and_unchangeable(zone: Zone):
    landed = {
        "clickstream/a.ndjson": zone.put("clickstream/a.ndjson", [event(1)] * 100),
        "clickstream/b.csv.GZ": zone.put("clickstream/b.csv.GZ", gzip.compress(b"event_id,event_time,visitor_id\n")),
        "clickstream/c.parquet": zone.directory / "clickstream" / "c.parquet",
    }
    parquet.write_table(pa.Table.from_pylist([event(2)]), landed["clickstream/c.parquet"])
    zone.put("clickstream/again.ndjson", [event(1)] * 100)
    zone.put("clickstream/wrong.ndjson", [event(3)], {"rows": 2})
    zone.land()
    places = kept(zone)
    assert {path: place.suffixes for path, place in places.items()} == {
        "clickstream/a.ndjson": [".ndjson", ".zst"],
        "clickstream/b.csv.GZ": [".csv", ".gz"],
        "clickstream/c.parquet": [".parquet"],
    }
    found = [path for path in zone.settings.archive.rglob("*") if path.is_file()]
    assert sorted(found) == sorted(places.values())
    assert all(path.stat().st_mode & 0o222 == 0 for path in found)
    with pa.input_stream(str(places["clickstream/a.ndjson"]), compression="zstd") as stream:
        assert stream.read() == landed["clickstream/a.ndjson"].read_bytes()
    for path in ("clickstream/b.csv.GZ", "clickstream/c.parquet"):
        assert places[path].read_bytes() == landed[path].read_bytes()
        assert places[path].name.startswith(hashlib.sha256(landed[path].read_bytes()).hexdigest())


def test_a_replay_needs_the_archive_only_and_says_when_it_is_damaged(zone: Zone):
    zone.put("clickstream/a.ndjson", [event(1), event(2, action_type="hover")])
    zone.put("clickstream/b.ndjson", [event(3, action_type="hover")])
    zone.land()
    shutil.rmtree(zone.directory / "clickstream")
    damaged = kept(zone)["clickstream/b.ndjson"]
    damaged.unlink()
    damaged.write_bytes(b"something else")
    definitions = zone.define("sources: {clickstream: {fields: {action_type: {values: {hover: click}}}}}")
    first, second = replay(zone.directory, "r", Filter(), definitions=definitions, settings=zone.settings)
    assert (first.rows_loaded, first.error) == (1, None)
    assert second.error == f"clickstream/b.ndjson is damaged in the archive: {damaged} is not what its name says"
    damaged.unlink()
    [third] = replay(zone.directory, "r", Filter(), definitions=definitions, settings=zone.settings)
    assert (third.error or "").startswith("clickstream/b.ndjson is not in the archive")


def test_a_file_that_cannot_be_kept_is_not_loaded(zone: Zone, monkeypatch: pytest.MonkeyPatch):
    zone.put("clickstream/a.ndjson", [event(1)])

    def full(_archive: Archive, _file: LandingFile) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "copy", full)
        [result] = zone.land()
    assert (result.status, zone.statuses()) == ("failed", [])
    assert "No space left on device" in (result.error or "")
    assert [result.status for result in zone.land()] == ["loaded"]


def test_half_made_copies_of_killed_loaders_go(zone: Zone):
    incoming = zone.settings.archive / ".incoming"
    incoming.mkdir(parents=True)
    for name, age in (("old", 90_000), ("of a loader at work", 10)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (time.time() - age,) * 2)
    with loading.Loader("r", settings=zone.settings):
        pass
    assert [path.name for path in incoming.iterdir()] == ["of a loader at work"]


def test_a_sender_who_cannot_be_read_is_told(zone: Zone):
    archive = Archive(zone.settings.archive)
    gone = zone.directory / "clickstream" / "gone.ndjson"
    file = LandingFile(
        "clickstream", "clickstream/gone.ndjson", zone.directory, gone, 1, datetime.now(UTC), "ndjson", None
    )
    with pytest.raises(FileRejectedError, match="cannot be read: No such file"):
        archive.copy(file)
    assert list((zone.settings.archive / ".incoming").iterdir()) == []
