"""Nothing leaves the machine: no telemetry, no look for updates, no font. The last of the tests of the platform."""

from __future__ import annotations

import pytest
from tests.outside import Outside

from journeymart.settings import Settings

pytestmark = pytest.mark.platform


def test_nothing_was_sent_to_another_machine(platform: Settings, outside: Outside | None) -> None:
    """Not while the platform started, ran its pipeline, and was looked at in the browser of the tests before."""
    if outside is None:
        # not every container may make one: it takes root, unshare and /dev/net/tun
        pytest.skip("no network of its own, as scripts/test gives the platform where it may")
    assert outside.sent() == []
