"""The mart does not depend on how its history arrived: in which order, in how many files, how often."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from journeymart import pipeline
from journeymart.db import connect
from journeymart.sample.generate import Spec, generate
from journeymart.settings import Settings
from tests.pipeline.comparison import State, differences, mart_by_name, mart_tables

pytestmark = [pytest.mark.postgres, pytest.mark.slow]  # a dozen runs

FILES = {"clickstream": 16, "transactions": 4}  # how many files the lines of a source are split into
RUNS = 5
REPEATED_LINES = 0.03


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bank with everything that real ones have: robots, duplicates, late files, broken lines."""
    landing = tmp_path_factory.mktemp("history")
    generate(Spec(out=landing, customers=60, days=8, seed=7, file_format="ndjson"))
    return landing


@pytest.fixture(scope="module")
def loaded_at_once(new_warehouse: Callable[[], Settings], history: Path) -> State:
    settings = new_warehouse()
    pipeline.run(settings, history)
    with connect("jm_builder", settings=settings) as connection:
        tied = connection.execute(
            "select visitor_id, event_at from mart.event group by 1, 2 having count(*) > 1"
        ).fetchall()
    assert tied == [], "events of one visitor at one moment count in the order of arrival, so they cannot be compared"
    return mart_by_name(settings)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_arrival(
    warehouse: Settings, history: Path, loaded_at_once: State, tmp_path: Path, seed: int
) -> None:
    """Lines dealt at random to 20 files, some of them twice, a file once more under another name, in five runs.

    The mart is that of one full load, row for row, and computing it anew from raw changes nothing, not even keys.
    """
    chance = random.Random(seed)
    arrivals = shuffled(history, tmp_path / "prepared", chance)
    landing = tmp_path / "landing"
    for number in range(RUNS):
        for file in arrivals[number::RUNS]:
            place = landing / file.relative_to(tmp_path / "prepared")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, place)
        run = pipeline.run(warehouse, landing)
        assert run.build.scope == ("changes" if number else "all")
        assert {file.status for file in run.files} <= {"loaded", "repeated"}

    assert differences(mart_by_name(warehouse), loaded_at_once) == {}
    stored = mart_tables(warehouse)
    assert pipeline.run(warehouse, landing, full=True).build.scope == "all"
    assert differences(mart_tables(warehouse), stored) == {}


def shuffled(history: Path, directory: Path, chance: random.Random) -> list[Path]:
    """The files of `history`, those of FILES cut up and mixed, in random order."""
    arrivals = []
    for source in sorted(path.name for path in history.iterdir() if path.is_dir()):
        files = sorted(path for path in (history / source).rglob("*") if path.is_file() and path.suffix != ".done")
        if source not in FILES:
            for file in files:
                arrivals.append(directory / file.relative_to(history))
                arrivals[-1].parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, arrivals[-1])
            continue
        (directory / source).mkdir(parents=True)
        parts: list[list[bytes]] = [[] for _ in range(FILES[source])]
        for file in files:
            with pa.input_stream(str(file), compression="detect") as stream:
                for line in stream.read().splitlines():
                    for part in chance.sample(parts, 2 if chance.random() < REPEATED_LINES else 1):
                        part.append(line)
        for number, part in enumerate(parts):
            chance.shuffle(part)
            arrivals.append(directory / source / f"part-{number:02}.ndjson")
            arrivals[-1].write_bytes(b"".join(line + b"\n" for line in part))
        arrivals.append(directory / source / "part-again.ndjson")
        shutil.copyfile(arrivals[-2], arrivals[-1])
    chance.shuffle(arrivals)
    return arrivals
