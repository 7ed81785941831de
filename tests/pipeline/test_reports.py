"""Reports of departments: the numbers of `journeymart analyze`, names as text, and one mail for each period."""

from __future__ import annotations

import csv
import datetime as dt
import email
import email.policy
import hashlib
import json
import resource
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Warehouses
from tests.pipeline.zone import Zone, screen
from typer.testing import CliRunner

from journeymart import pipeline, reports
from journeymart.analysis import Result
from journeymart.cli import build_app
from journeymart.errors import PipelineError, WrongUsageError
from journeymart.reports import content
from journeymart.settings import Settings

HOSTILE = '=HYPERLINK("//evil")<img src=x onerror=alert(1)>\u202e</style>'
KIM, LEE = "kim@bank.example", "lee@bank.example"
# Pages of each session by its day: of the week that is reported, the week before, and a day that says it is over.
WAYS = {
    "2026-02-23": ["B"], "2026-02-24": ["AB", "A"], "2026-03-02": ["AB", "ABC", "AC", "BA"],
    "2026-03-08": ["A", "ABX", "ACC", "B"], "2026-03-09": ["B"],
}  # fmt: skip
HEAD = {"label": {"ko": "시험", "en": HOSTILE}, "owner": "sales"}


FUNNEL = {"id": "FN-R", **HEAD, "window": "1h",
          "steps": [{"name": page, "name_en": HOSTILE, **screen(page)} for page in "AB"]}  # fmt: skip
PACK = {
    "id": "PK-R", **HEAD, "description": {"ko": "설명", "en": HOSTILE}, "funnel": "FN-R",
    "segments": ["SG-C", "SG-NONE"], "anchors": [{"page": "A"}, {"error": "BAD"}],
    "between": {"start": {"page": "A"}, "end": {"page": "C"}}, "report": {"every": "week", "recipients": [KIM, LEE]},
}  # fmt: skip


@pytest.fixture(scope="module")
def bank(warehouses: Warehouses, tmp_path_factory: pytest.TempPathFactory) -> Zone:
    zone = Zone(tmp_path_factory.mktemp("reports") / "landing", warehouses.create())
    ways = [(day, way) for day, found in WAYS.items() for way in found]
    zone.put("clickstream/a.ndjson", [
        {"event_id": f"e{device}-{place}", "event_time": f"{day}T10:0{place}:00+09:00", "visitor_id": f"d{device}",
         "customer_id": f"c{device}", "page_code": page, "page_name": HOSTILE if page == "A" else None,
         "channel": "web", "domain": "bank", "error_code": "BAD" if page == "X" else None}
        for device, (day, way) in enumerate(ways) for place, page in enumerate(way)
    ])  # fmt: skip
    segments = [{"id": f"SG-{name}", **HEAD, "all_of": [{"did": screen(name)}]} for name in ("C", "NONE")]
    defined: dict[str, list[Any]] = {"funnels": [FUNNEL], "segments": segments, "audiences": [], "rules": []}
    for kind, items in (defined | {"packs": [PACK]}).items():
        definitions = zone.define(json.dumps({kind: items}), kind)
    pipeline.run(zone.settings, zone.directory, definitions=definitions)
    return zone


@pytest.fixture(autouse=True)
def nothing_made(bank: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", lambda: bank.settings)
    bank.query("truncate ops.report; select 1")
    shutil.rmtree(bank.settings.reports, ignore_errors=True)


def deliver(bank: Zone, *packs: dict[str, Any], settings: Settings | None = None, **options: Any) -> list[Any]:
    definitions = bank.define(json.dumps({"packs": packs or [PACK]}), "packs")
    return reports.deliver(settings or bank.settings, definitions=definitions, **options)


def state(bank: Zone, **options: Any) -> str:
    [delivery] = deliver(bank, **options)
    return delivery.state


def recorded(bank: Zone) -> dict[str, Any]:
    [row] = reports.record(bank.settings)
    return row


def command(*arguments: str) -> str:
    return CliRunner().invoke(build_app(), list(arguments), catch_exceptions=False).stdout


def test_the_numbers_are_those_of_the_analyses(bank: Zone) -> None:
    [delivery] = deliver(bank)
    assert delivery.folder == bank.settings.reports / "sales" / "2026-03-08" / "PK-R"
    questions = {
        "funnel": "funnel --id FN-R",
        "funnel_segments": "funnel --id FN-R --by segment --segments SG-C,SG-NONE",
        "around_1": "paths around --node A --before 1 --after 1",
        "around_2": "paths around --node BAD --kind error --before 1 --after 1",
        "between": "paths between --start A --end C --top 100",
    }
    assert {path.name for path in delivery.folder.iterdir()} == {"report.html", *(f"{name}.csv" for name in questions)}
    for name, question in questions.items():
        said = json.loads(command("analyze", *question.split(), "--from=2026-03-02", "--to=2026-03-08", "--json"))
        with (delivery.folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows, name
        assert rows == [{key: "" if value is None else str(value) for key, value in row.items()} for row in said], name


def test_a_pack_of_a_channel_and_a_domain_is_about_their_sessions_alone(bank: Zone) -> None:
    def said(**sessions: str) -> tuple[str, str]:
        [delivery] = deliver(bank, PACK | sessions, again=True)
        page = (delivery.folder / "report.html").read_text(encoding="utf-8")
        return page, (delivery.folder / "around_1.csv").read_text(encoding="utf-8-sig")

    page, around = said(channel="web", domain="Bank")
    assert '채널 <span class="en" lang="en">Channel</span> <b>웹 <span' in page
    assert "<b>bank</b>" in page
    assert around == said()[1]
    page, around = said(channel="app")
    assert ("<b>7</b>" in page, around.splitlines()[1:]) == (False, [])


def test_the_page_says_them_and_takes_names_for_text(bank: Zone) -> None:
    """Seven people come to A, three of them on to B; the week before it was one of two."""
    [delivery] = deliver(bank)
    assert {path.stat().st_mode & 0o777 for path in delivery.folder.iterdir()} == {0o640}
    page = (delivery.folder / "report.html").read_text(encoding="utf-8")
    for text in (
        "2026-03-02 – 2026-03-08", "2026-03-09 10:00", "2026-02-23 – 2026-03-01", "&lt;img src=x onerror",
        "<b>7</b><small>이전 기간 <span lang=\"en\">before</span> 2<", "<b>3</b>", "<b>42.9%</b>",
        "before</span> 50.0%<",
    ):  # fmt: skip
        assert text in page, text
    assert page.count("</style>") == 1
    for text in ("<img", "\u202e", "<script", "url(", "@import", "<link", "src="):
        assert text not in page.replace("img src=x onerror", ""), text


@pytest.mark.parametrize("value", ["=1+1", " =1", "+1", "-1", "@SUM(1)", "\t=1", "＝1"])  # noqa: RUF001 - wide
def test_a_spreadsheet_takes_no_cell_for_a_formula(value: str) -> None:
    assert reports.table(Result(["name", "change"], [(value, -1)])) == f"\ufeffname,change\r\n'{value},-1\r\n".encode()


def test_there_is_one_for_each_period(bank: Zone) -> None:
    assert command("report", "--list") == "No report has been made.\n"
    [first] = deliver(bank)
    page = first.folder / "report.html"
    made = page.stat().st_mtime_ns
    assert state(bank) == state(bank, as_of=dt.date(2026, 3, 9)) == "done"
    assert page.stat().st_mtime_ns == made
    assert state(bank, again=True) == "made"
    assert recorded(bank)["sha256"] == hashlib.sha256(page.read_bytes()).hexdigest()
    assert state(bank, as_of=dt.date(2026, 2, 23)) == "waiting"  # there are no data of the week before
    with pytest.raises(PipelineError, match="the data have come to 2026-03-09 10:00"):
        deliver(bank, as_of=dt.date(2026, 3, 16))
    with pytest.raises(WrongUsageError, match="no report of PK-Q"):
        deliver(bank, pack_id="PK-Q")
    assert command("report", "--list").split() == ["2026-03-02", "–", "2026-03-08", "PK-R", "not", "sent"]
    definitions = str(bank.directory.parent / "definitions")
    assert json.loads(command("report", "--definitions", definitions, "--json"))[0]["state"] == "done"
    step = json.loads(command("step", "report", "--run-id", "r", "--definitions", definitions))
    assert [item["state"] for item in step["reports"]] == ["done"]


def test_a_day_is_over_with_its_last_hour(bank: Zone) -> None:
    moment = bank.value("select watermark_at from ops.publication")
    try:
        bank.query("update ops.publication set watermark_at = '2026-03-08 22:59+09'; select 1")
        with pytest.raises(PipelineError, match="the data have come to 2026-03-08 22:59"):
            deliver(bank, as_of=dt.date(2026, 3, 9))
        bank.query("update ops.publication set watermark_at = '2026-03-08 23:00+09'; select 1")
        assert state(bank) == "made"
        assert recorded(bank)["to_date"] == dt.date(2026, 3, 8)
    finally:
        bank.query(f"update ops.publication set watermark_at = '{moment}'; select 1")  # noqa: S608 - what the database said


def test_when_one_question_fails_there_is_nothing(bank: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are made; the next time it is tried again."""
    packs = (PACK | {"id": "PK-BROKEN"}, PACK | {"between": None})
    with monkeypatch.context() as patched:
        patched.setattr(content, "WAYS", 0)  # the last question of the pack; the database refuses it
        with pytest.raises(PipelineError, match=r"^PK-BROKEN: top_k and max_steps must be at least 1$"):
            deliver(bank, *packs)
    assert [path.name for path in bank.settings.reports.glob("*/*/*")] == ["PK-R"]
    tried = {row["pack_id"]: row["made_at"] is None for row in reports.record(bank.settings)}
    assert tried == {"PK-BROKEN": True, "PK-R": False}
    assert [item.state for item in deliver(bank, *packs)] == ["made", "done"]


def test_what_is_killed_leaves_nothing(bank: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("journeymart.reports.os.fsync", killed)
        deliver(bank)
    assert not list(bank.settings.reports.glob("*/*/*"))
    assert state(bank) == "made"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", killed)  # what was there has gone
        deliver(bank, again=True)
    assert state(bank) == "made"
    assert list(bank.settings.reports.glob("*/*/*/report.html"))


def test_a_disk_without_room_is_named_and_costs_no_report_that_is_there(bank: Zone) -> None:
    assert state(bank) == "made"
    definitions = bank.define(json.dumps({"packs": [PACK]}), "packs")
    [page] = bank.settings.reports.glob("*/*/*/report.html")
    before, limits = page.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(PipelineError, match=r"'/\S+/report.html'; once that is mended, `journeymart report` makes"):
            reports.deliver(bank.settings, definitions=definitions, again=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (page.read_bytes(), recorded(bank)["made_at"]) == (before, None)
    assert state(bank) == "made"


def test_a_report_has_what_its_department_may_see(bank: Zone) -> None:
    """Who writes another department's name on its funnel is shown nothing: what is published decides."""
    bank.define(json.dumps({"funnels": [FUNNEL | {"owner": "others"}]}), "funnels")
    try:
        with pytest.raises(PipelineError, match="FN-R is not published for this department"):
            deliver(bank, PACK | {"owner": "others"})
    finally:
        bank.define(json.dumps({"funnels": [FUNNEL]}), "funnels")
    assert not bank.settings.reports.exists()


def test_silence_is_an_error(bank: Zone) -> None:
    deliver(bank)
    bank.query("update ops.report set made_at = made_at - interval '8 days'; select 1")
    assert state(bank) == "done"
    bank.query("update ops.report set made_at = made_at - interval '1 day'; select 1")
    with pytest.raises(PipelineError, match="the data stand still at 2026-03-09 10:00"):
        deliver(bank)


def test_of_a_new_installation_nothing_is_due(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", lambda: warehouse)
    assert json.loads(command("step", "report", "--run-id", "r")) == {"reports": []}


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server that speaks TLS when asked to; `cut`: it goes away with the mail, before it has said so."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.tls = tls
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refused: set[str] = set()
        self.cut = False


class MailHandler(socketserver.StreamRequestHandler):
    server: Mailbox

    def say(self, text: str) -> None:
        self.request.sendall(f"{text}\r\n".encode())

    def handle(self) -> None:
        self.say("220 localhost")
        recipients: list[str] = []
        while words := self.rfile.readline().decode().split():
            verb, address = words[0].upper(), words[-1].partition("<")[2].rstrip(">")
            if verb == "STARTTLS" and self.server.tls:
                self.say("220 go on")
                try:
                    self.request = self.server.tls.wrap_socket(self.request, server_side=True)
                except ssl.SSLError:  # of who does not trust us
                    return
                self.rfile = self.request.makefile("rb")
            elif verb == "RCPT" and address in self.server.refused:
                self.say("550 no such person")
            elif verb == "DATA":
                self.say("354 go on")
                written = b"".join(iter(self.rfile.readline, b".\r\n"))
                mail = email.message_from_bytes(written, policy=email.policy.default)
                self.server.mails.append((recipients, mail))
                if self.server.cut:
                    return
                self.say("250 taken")
            else:
                recipients += [address] if verb == "RCPT" else []
                can_start = verb == "EHLO" and self.server.tls
                self.say("221 bye" if verb == "QUIT" else "250-localhost\r\n250 STARTTLS" if can_start else "250 ok")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, with its key, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    command = [*made.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path)]
    written = subprocess.run(command, check=True, capture_output=True, text=True)
    path.write_text(path.read_text() + written.stdout)
    return path


@pytest.fixture
def mailbox(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Mailbox(tls) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def mailing(bank: Zone, mailbox: Mailbox) -> Settings:
    smtp = {"host": "localhost", "port": str(mailbox.server_address[1]), "from": "reports@bank.example"}
    return replace(bank.settings, smtp=smtp)


def test_it_is_mailed_once(bank: Zone, mailbox: Mailbox, mailing: Settings) -> None:
    assert state(bank) == "made"  # there is no mail server yet
    [delivery] = deliver(bank, settings=mailing)
    assert (delivery.state, delivery.recipients) == ("sent", 2)
    assert state(bank, settings=mailing) == "done"
    [(recipients, mail)] = mailbox.mails
    assert recipients == [KIM, LEE]
    assert mail["Subject"].startswith("시험 / =HYPERLINK")
    attached = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    assert attached == {path.name: path.read_bytes() for path in delivery.folder.iterdir()}
    assert "sent to 2 at" in command("report", "--list")
    assert state(bank, settings=mailing, again=True) == "sent"
    assert [found["Message-ID"] for _, found in mailbox.mails] == [mail["Message-ID"]] * 2  # it is the same


def test_who_is_refused_is_told(bank: Zone, mailbox: Mailbox, mailing: Settings) -> None:
    mailbox.refused = {LEE}
    for _ in range(2):
        with pytest.raises(PipelineError, match=f"the mail server refused {LEE}; the others have it"):
            deliver(bank, settings=mailing)
    assert [recipients for recipients, _ in mailbox.mails] == [[KIM]]
    assert recorded(bank)["recipients"] == 1


def test_what_nobody_took_is_mailed_later(bank: Zone, mailbox: Mailbox, mailing: Settings) -> None:
    mailbox.refused = {KIM, LEE}
    with pytest.raises(PipelineError, match="no such person"):
        deliver(bank, settings=mailing)
    assert "no such person" in recorded(bank)["error"]
    mailbox.refused = set()
    assert state(bank, settings=mailing) == "sent"
    assert recorded(bank)["error"] is None
    assert len(mailbox.mails) == 1


def test_what_was_cut_short_is_not_mailed_twice(bank: Zone, mailbox: Mailbox, mailing: Settings) -> None:
    """Whether the server has it is not known: neither where the server went away nor where we were killed."""
    mailbox.cut = True
    with pytest.raises(PipelineError):
        deliver(bank, settings=mailing)
    mailbox.cut = False
    with pytest.raises(PipelineError, match="closed"):
        deliver(bank, settings=mailing)
    bank.query("update ops.report set error = null; select 1")
    with pytest.raises(PipelineError, match="mailing was cut short: ask whether it came"):
        deliver(bank, settings=mailing)
    assert len(mailbox.mails) == 1
    assert state(bank, settings=mailing, again=True) == "sent"


@pytest.mark.parametrize("fault", ["no TLS", "unknown certificate"])
def test_nothing_is_mailed_in_the_open(
    bank: Zone, mailbox: Mailbox, mailing: Settings, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "no TLS":
        mailbox.tls = None
    else:
        monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(PipelineError, match=r"mail server \S+:\d+: .*(STARTTLS extension not|certificate verify)"):
        deliver(bank, settings=mailing)
    assert mailbox.mails == []
    assert recorded(bank)["made_at"]  # it is there, as files
