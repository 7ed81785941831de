"""What engines put on disk goes with them, however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from journeymart.landing.spill import PREFIX, spill_directory

AT_WORK = """
import signal
from journeymart.landing.spill import spill_directory
with spill_directory() as directory:
    (directory / "duckdb_temp_storage.tmp").write_text("rows")
    print(directory, flush=True)
    signal.pause()
"""


def test_what_a_killed_process_has_left_goes_and_nothing_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    others = [tmp_path / f"{PREFIX}link", tmp_path / f"{PREFIX}file", tmp_path / "journeymart-other"]
    outside = tmp_path / "outside"
    outside.mkdir()
    others[0].symlink_to(outside)
    others[1].write_text("")
    others[2].mkdir()
    killed, living = (
        subprocess.Popen([sys.executable, "-c", AT_WORK], stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    try:
        left, used = (Path(process.stdout.readline().strip()) for process in (killed, living) if process.stdout)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert list(left.iterdir())
        with spill_directory() as first, spill_directory() as second:
            assert (first != second, first.is_dir(), second.is_dir()) == (True, True, True)
            assert not left.exists()
        assert list(used.iterdir())
        assert sorted(tmp_path.iterdir()) == sorted([*others, outside, used])
    finally:
        living.kill()
        living.wait()
