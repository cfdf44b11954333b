"""What systemd is told of the service, read at the other end of a real socket."""

import os
import socket
import sys
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd import notify
from syncd.notify import Notify

try:
    import systemd.daemon
except ImportError:
    systemd = None

SENDERS = ["systemd-python", "datagram"]


@pytest.fixture(params=SENDERS)
def sender(request, monkeypatch):
    """Once through systemd-python, and once as if it were not installed."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if request.param == "datagram":
        monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    elif systemd is None:
        pytest.skip("systemd-python is not installed: pip install 'syncd[systemd]'")


@pytest.fixture(params=["path", "abstract"])
def manager(request, sender, tmp_path, monkeypatch):
    """The socket that systemd would listen on."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@syncd-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listening


def told(manager):
    return manager.recv(8192).decode().splitlines()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: Notify().ready(), ["READY=1"]),
        (lambda: Notify().ready("2 sources"), ["READY=1", "STATUS=2 sources"]),
        (lambda: Notify().status("hq: 3 added"), ["STATUS=hq: 3 added"]),
        (lambda: Notify().watchdog(), ["WATCHDOG=1"]),
        (lambda: Notify().stopping(), ["STOPPING=1"]),
        (lambda: Notify().stopping("draining"), ["STOPPING=1", "STATUS=draining"]),
        (lambda: Notify().extend(2.5), ["EXTEND_TIMEOUT_USEC=2500000"]),
    ],
)
def test_systemd_is_told(manager, call, expected):
    assert call() is True
    assert expected == told(manager)


def test_a_reload_carries_the_time_of_the_monotonic_clock(manager):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notify().reloading()
    first, second = told(manager)

    assert "RELOADING=1" == first
    assert "MONOTONIC_USEC" == second.partition("=")[0]
    assert before <= int(second.partition("=")[2]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_cannot_say_anything_else(manager):
    Notify().status("one\nSTOPPING=1\0\ud800 Grüße")

    assert ["STATUS=one STOPPING=1   Grüße"] == told(manager)


def test_a_long_status_still_goes_out(manager):
    Notify().status("ü" * 100_000)

    assert ["STATUS=" + "ü" * 500] == told(manager)


@given(st.text(st.characters()))
def test_any_status_is_one_line_of_utf_8(text):
    line = notify._line(text)

    assert line.encode().decode().splitlines() == ([line] if line else [])


def calls():
    yield from (lambda name=name: getattr(Notify(), name)() for name in ("ready", "reloading", "watchdog"))
    yield from (lambda: Notify().stopping("x"), lambda: Notify().status("x"), lambda: Notify().extend(1))


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "x" * 200, "vsock:2:1", "@"])
def test_where_nobody_listens_nothing_happens(sender, monkeypatch, address):
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    assert {False} == {call() for call in calls()}


def test_a_manager_that_does_not_read_does_not_hold_the_service_for_long(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    monkeypatch.setattr(notify, "_PATIENCE", 0.05)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        went_out = list(iter(Notify().watchdog, False))  # until the socket's queue is full
        began = time.monotonic()

        assert Notify().watchdog() is False
        assert time.monotonic() - began < 5
        assert went_out


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        (None, None, None),
        ("60000000", None, 60.0),
        ("500000", "own", 0.5),
        ("60000000", "1", None),
        ("0", None, None),
        ("-5", None, None),
        ("soon", None, None),
        ("60000000", "me", None),
    ],
)
def test_the_watchdogs_interval_is_that_of_this_process(monkeypatch, usec, pid, expected):
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    assert expected == Notify().watchdog_interval
