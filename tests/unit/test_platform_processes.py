"""Services are found again, ended with their children, and never mistaken for someone else's process."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from journeymart.platform.processes import PlatformError, Service, http_get, tail, wait_until


@pytest.fixture
def service(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    service = Service("sleeper", tmp_path / "run", tmp_path / "logs")
    yield service
    service.stop(seconds=1)


def start(service: Service, script: str) -> int:
    service.start(["/bin/sh", "-c", script], os.environ)
    return int((service.run / "sleeper.pid").read_text().split()[0])


def wait_for(path):
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text().strip()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def test_start_twice_starts_once(service):
    first = start(service, "echo started; exec sleep 60")
    assert start(service, "exec sleep 60") == first
    assert service.is_running()
    wait_for(service.log)
    service.stop()
    assert not service.is_running()
    assert not is_alive(first)
    assert "started" in tail(service.log)


def test_stop_without_start_does_nothing(service):
    service.stop()
    assert not service.is_running()


def test_children_are_ended_even_in_sessions_of_their_own(service, tmp_path):
    start(service, f"setsid sh -c 'echo $$ > {tmp_path}/child; exec sleep 60' & sleep 60")
    child = int(wait_for(tmp_path / "child"))
    service.stop(seconds=1)
    assert not is_alive(child)


def test_a_process_that_ignores_the_request_is_killed(service, tmp_path):
    leader = start(service, f"trap '' TERM; echo $$ > {tmp_path}/ready; while :; do sleep 0.1; done")
    wait_for(tmp_path / "ready")
    service.stop(seconds=0.5)
    assert not is_alive(leader)


def test_what_a_killed_leader_leaves_is_ended_before_the_next_start(service, tmp_path):
    leader = start(service, f"sh -c 'echo $$ > {tmp_path}/child; exec sleep 60' & sleep 60")
    child = int(wait_for(tmp_path / "child"))
    os.kill(leader, signal.SIGKILL)
    while service.is_running():
        time.sleep(0.02)
    assert is_alive(child)
    assert start(service, "exec sleep 60") != leader
    assert not is_alive(child)


def test_a_record_whose_id_is_reused_is_not_ours(service):
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        start(service, "exec sleep 60")
        record = service.run / "sleeper.pid"
        genuine = record.read_text()
        pid, rest = genuine.split(" ", 1)
        record.write_text(f"{bystander.pid} {rest}".replace(f" {pid} ", f" {bystander.pid} "))
        fields = record.read_text().split(" ")
        fields[21] = "1"  # started long ago
        record.write_text(" ".join(fields))
        assert not service.is_running()
        service.stop(seconds=1)
        assert bystander.poll() is None
        record.write_text(genuine)
    finally:
        bystander.kill()
        bystander.wait()


def test_a_record_of_another_boot_or_half_written_is_nothing(service):
    start(service, "exec sleep 60")
    record = service.run / "sleeper.pid"
    genuine = record.read_text()
    for text in (genuine.rsplit("\n", 2)[0] + "\nanother-boot\n", "", "\n"):
        record.write_text(text)
        assert not service.is_running()
    record.write_text(genuine)
    assert service.is_running()


def test_waiting_shows_the_end_of_the_log(tmp_path):
    log = tmp_path / "some.log"
    log.write_text("first\nthe reason\n")
    with pytest.raises(PlatformError, match=r"(?s)gave up waiting for it: waited 0 s.*the reason"):
        wait_until(lambda: False, seconds=0, what="it", log=log)
    with pytest.raises(PlatformError, match="it ended"):
        wait_until(lambda: False, seconds=60, what="it", log=log, failed=lambda: True)


def test_nothing_answers_on_a_closed_port():
    assert http_get("http://127.0.0.1:9/", timeout=1) is None
