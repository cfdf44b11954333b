"""The service at work between a directory and telephones: a process of its own, real sockets, real servers."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import pytest
from cli_world import environment
from telephone_world import Telephony, registrar

pytest_plugins = ("servers.fixtures",)

SERVICE = """
import datetime, time, types
import schedule
from syncd.cli import main, session

class Quick(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(begun + (time.time() - begun) * 60, tz)

begun = time.time()
session.now = lambda: Quick.now(datetime.UTC)
schedule.datetime = types.SimpleNamespace(datetime=Quick, timedelta=datetime.timedelta)
main()
"""
"""``syncd`` with a clock on which a minute is a second: schedules go by minutes."""


@pytest.fixture(params=["asterisk", "kamailio"])
def node(request, start_registrar):
    made = start_registrar(request.param)
    made.kind = request.param
    return made


@pytest.fixture
def company(tmp_path, start_slapd, node):
    """Ada is in the directory, which tells its changes."""
    made = Telephony(tmp_path, start_slapd(session_log=100), registrar("pbx", node.kind, node))
    made.set('incremental = "off"', 'schedule = { incremental = "every 1m", full = "every 168h" }')
    with tempfile.TemporaryDirectory(prefix="syncd-") as short:  # a socket's path has 107 characters at most
        made.set("state_directory", f'socket = "{short}/control.sock"\nstate_directory')
        made.hire("ada")
        yield made


@contextmanager
def service(company):
    with (company.folder / "service").open("wb") as log:
        command = [sys.executable, "-c", SERVICE, "--config", company.config, "daemon"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(WATCHDOG_USEC="1500000"))
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(30)
    finally:
        process.kill()
        process.wait()


def until(company, true, seconds=30.0):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, (company.folder / "service").read_text()[-4000:]
        time.sleep(0.1)


def asked(company, *words):
    """Run a command in a process of its own, which asks the service."""
    done = company.process(*words)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_who_comes_registers_within_the_slot_and_who_leaves_does_not_any_more(company, node):
    company.set("leavers = {", 'leavers = { after = "0s", reads = 1,')
    with service(company):
        until(company, company.database.exists)
        until(company, lambda: company.confirmed("pbx")["add"] == 1)
        assert node.registers("100", company.password("ada"))

        company.hire("grace")
        until(company, lambda: company.confirmed("pbx")["add"] == 2)
        telephone = company.telephone("grace")
        assert node.registers(*telephone)

        company.dismiss("grace")
        until(company, lambda: company.confirmed("pbx")["disable"] == 1)
        assert not node.registers(*telephone)


def test_who_does_not_want_to_wait_asks_the_service(company, node):
    company.set("every 1m", "every 168h")
    with service(company):
        until(company, company.database.exists)
        until(company, lambda: company.confirmed("pbx")["add"] == 1)
        company.hire("grace")
        assert "pbx: 1 confirmed" in asked(company, "sync", "hq")

        assert "101" == company.extension("grace")
        assert node.registers(*company.telephone("grace"))
