"""The loop that the demo closes: who is exported is sent to and answered for, and what came of it is in the mart."""

from __future__ import annotations

import pytest

from journeymart.db import connect
from journeymart.settings import Settings

pytestmark = pytest.mark.platform


EXPORTS = ["AU-FX-INTEREST", "AU-OPEN-DROPPED"]  # those that are shipped; other tests ask for more


def test_what_the_demo_sent_is_in_the_effect_of_audiences(platform: Settings) -> None:
    """Answers, landed sends and effect agree, and of those who were held out nobody was sent anything."""
    with connect("jm_admin", settings=platform) as connection:
        answers = connection.execute(
            "select export_id, count(*), count(*) filter (where status = 'sent') from export.ack"
            " where export_id = any(%s) group by export_id order by export_id",
            (EXPORTS,),
        ).fetchall()
        landed = connection.execute(
            "select 'AU' || substr(campaign_id, 4), count(*) from mart.campaign_send where send_id like 'AU-%'"
            " group by campaign_id order by 1"
        ).fetchall()
        effect = connection.execute(
            "select export_id, acknowledged, sent from mart.audience_effect"
            " where export_id = any(%s) and not is_held_out order by 1",
            (EXPORTS,),
        ).fetchall()
        groups = connection.execute(
            "select is_held_out, sum(sent), sum(returned) > 0 from mart.audience_effect"
            " where export_id = any(%s) group by 1 order by 1",
            (EXPORTS,),
        ).fetchall()
    assert [export_id for export_id, *_ in answers] == EXPORTS
    assert landed == [(export_id, sent) for export_id, _, sent in answers]
    assert effect == answers
    assert groups == [(False, sum(sent for *_, sent in answers), True), (True, 0, True)]


def test_what_the_demo_showed_is_in_the_outcome_of_triggers(platform: Settings) -> None:
    with connect("jm_admin", settings=platform) as connection:
        answers = connection.execute(
            "select count(*), count(*) filter (where status = 'clicked') from export.ack where trigger_id is not null"
        ).fetchone()
        outcome = connection.execute(
            "select count(*) filter (where is_shown), count(*) filter (where is_clicked) from mart.trigger_outcome"
        ).fetchone()
    assert answers is not None and answers[0] > 0
    assert outcome == answers
