"""What is planted in the synthetic bank is found by the reports that are there to find it."""

from __future__ import annotations

import json
from pathlib import Path

from journeymart import pipeline
from journeymart.analysis import call
from journeymart.sample.generate import Spec, generate
from journeymart.settings import Settings

GIVE_UP = 0.85  # of those who meet the planted error (sample/simulate.py)


def test_the_error_that_makes_people_leave(warehouse: Settings, tmp_path: Path) -> None:
    """Of all errors the planted one leads, by as much as was planted; most others happen without any consequence."""
    generate(Spec(out=tmp_path / "bank", customers=1500, days=7, seed=7))
    truth = json.loads((tmp_path / "bank" / "truth.json").read_text(encoding="utf-8"))
    planted = truth["account_opening"]["planted_error"]
    (tmp_path / "landing").mkdir()
    (tmp_path / "bank" / "clickstream").rename(tmp_path / "landing" / "clickstream")  # all that it takes
    pipeline.run(warehouse, tmp_path / "landing")

    found = call(warehouse, "paths_after_error", {"least_visits": 5, "top_k": 3})
    first, *others, _rest = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert (first["node"], first["error_code"]) == (planted["page_code"], planted["error_code"])
    assert first["visits"] >= planted["with_error"]["sessions"]
    stays = 1 - first["other_exit_share"]
    assert first["difference_low"] < GIVE_UP * stays < first["difference_high"]
    assert [row["difference_low"] < 0 for row in others] == [True, True]
