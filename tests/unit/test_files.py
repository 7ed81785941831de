"""Files are there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeymart.files import replacing


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "AU-X-000001.json"
    path.write_bytes(b"before")
    (tmp_path / f".{path.name}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), replacing(path) as file:
        file.write(b"after")
    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(path, b"before")]
