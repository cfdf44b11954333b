"""The installed service on a machine of its own, with a directory outside: asked, reloaded, killed, hung and stopped."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack

import pytest
from servers.machine import Machine
from servers.slapd import MISSING, PASSWORD, PEOPLE, READER, Slapd, people
from servers.spoilers import Proxy

from syncd.logs.journal import message_id

pytest_plugins = ("servers.fixtures",)

CROWD = 1500

CONFIGURATION = """
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["ldaps://127.0.0.1:{port}"]
ca_file = "/etc/syncd/acme.pem"
bind = {{ dn = "{reader}", password = "credential:hq" }}
base = ["{base}"]
filter = "(objectClass=inetOrgPerson)"
anchor = "entryUUID"
match = ["login"]
page_size = 100
detain = "never"
limits = {{ add = "off" }}
schedule = {{ {schedule} }}
[source.hq.map]
login = "uid"
last_name = "sn"
email = "mail"
"""

OFTEN = 'incremental = "every 15m", full = "daily at 02:30"'
NEVER = 'full = "off"'

SHORT = "[Service]\nRestartSec=1\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory, certificate):
    """Acme's directory, on this side."""
    if MISSING:
        pytest.skip(MISSING)
    with Slapd(tmp_path_factory.mktemp("acme"), people(CROWD), tls=certificate) as server:
        yield server


@pytest.fixture
def way(directory):
    """What leads to the directory; a test can have it say nothing more after so many bytes."""
    with ExitStack() as opened:
        yield opened.enter_context(Proxy(directory.tls_port))


def configure(
    machine: Machine, way: Proxy, schedule: str = OFTEN, *, more: str = "", secret: bool = True
) -> None:
    text = CONFIGURATION.format(port=way.port, reader=READER, base=PEOPLE, schedule=schedule)
    machine.write("/etc/syncd/syncd.toml", more + text, "640", "root:syncd")
    if secret:
        machine.write("/etc/syncd/credentials/hq", PASSWORD, "600")


def trust(machine: Machine, certificate) -> None:
    machine.write("/etc/syncd/acme.pem", certificate.authority.read_bytes())


@pytest.fixture
def machine(connected_machine, certificate):
    trust(connected_machine, certificate)
    return connected_machine


def dropped_in(machine: Machine, text: str, unit: str = "syncd.service") -> None:
    """What ``systemctl edit`` would do."""
    machine.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
    machine.run("systemctl", "daemon-reload")


def eventually(found, patience: float = 12.0):
    """Return the first true answer of ``found``, else its last one."""
    deadline = time.monotonic() + patience
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def told(machine: Machine, *events: str) -> list[str]:
    """Return the events of the service that the journal has, of these names."""
    entries = machine.journal("_SYSTEMD_UNIT=syncd.service", "_TRANSPORT=journal")
    return [one["SYNCD_EVENT"] for one in entries if one["SYNCD_EVENT"] in events]


def applied(machine: Machine) -> list[dict]:
    return machine.journal("_SYSTEMD_UNIT=syncd.service", "SYNCD_EVENT=run_applied")


def verb(machine: Machine, *words: str, person: str = "root", check: bool = True) -> str:
    return machine.run("runuser", "-u", person, "--", "syncd", *words, check=check)


def accounts(machine: Machine) -> int:
    return len(json.loads(verb(machine, "accounts", "--json"))["accounts"])


def restarts(machine: Machine) -> int:
    return int(machine.show("syncd", "NRestarts")["NRestarts"])


def journal(machine: Machine) -> str:
    return machine.run("journalctl", "--no-pager", "--unit=syncd", "--lines=40")


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_directory_outside_is_read_by_the_daemons_own_schedule(machine, way, encrypted):
    configure(machine, way, secret=not encrypted)
    if encrypted:
        machine.run("mkdir", "-m", "700", "/etc/syncd/credentials.encrypted")
        encrypt = ["systemd-creds", "encrypt", "--with-key=host", "--name=syncd_hq", "-"]
        machine.run(*encrypt, "/etc/syncd/credentials.encrypted/hq", given=PASSWORD)
        dropped_in(machine, "[Service]\nLoadCredentialEncrypted=syncd:/etc/syncd/credentials.encrypted\n")
    machine.run("systemctl", "start", "syncd")
    found = eventually(lambda: applied(machine))

    assert found, journal(machine)
    assert {
        "MESSAGE_ID": message_id("run_applied"),
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "syncd",
        "SYNCD_RUN": "1",
        "SYNCD_CONNECTION": "hq",
    }.items() <= found[0].items()
    assert CROWD == accounts(machine)
    explained = machine.run("journalctl", "-x", "--no-pager", "SYNCD_RUN=1")
    assert "More of this run:  syncd runs 1" in explained.replace("-- ", "").replace("░░ ", "")
    assert PASSWORD not in machine.run("journalctl", "--no-pager")
    schedule = json.loads(verb(machine, "schedule", "--json"))
    assert "hq" in json.dumps(schedule)


def test_an_operator_syncs_now_and_sees_how_far_it_is_and_a_stranger_may_not(machine, way):
    configure(machine, way, NEVER)
    for person in ("ada", "eve"):
        machine.run("useradd", person)
    machine.run("usermod", "--append", "--groups", "syncd-admin", "ada")
    machine.run("systemctl", "start", "syncd")
    seen = machine.run("runuser", "-u", "ada", "--", "script", "-qefc", "syncd sync hq", "/dev/null")
    refused = verb(machine, "sync", "hq", person="eve", check=False)

    assert "run 1 is done" in seen, seen
    assert f"{CROWD} entries" in seen
    assert re.search(r"hq.* read", seen.split("run 1 is done")[0]), seen
    assert "this user may not connect there" in refused
    called = machine.journal("SYNCD_EVENT=control_called")
    assert [("sync", "ada")] == [(one["SYNCD_VERB"], one["SYNCD_ACTOR"]) for one in called]


def test_a_configuration_with_a_mistake_is_refused_and_told_until_it_is_mended(machine, way):
    configure(machine, way, NEVER)
    metrics = "/run/syncd/syncd.prom"
    machine.run("systemctl", "start", "syncd")
    configure(machine, way, NEVER, more="nonsense = 1\n")
    machine.run("systemctl", "reload", "syncd")
    metric = eventually(lambda: "syncd_config_reload_ok 0" in machine.run("cat", metrics))
    status = machine.show("syncd", "ActiveState", "StatusText")
    stands = verb(machine, "status")
    worked = verb(machine, "sync", "hq")
    asked = verb(machine, "reload", check=False)
    configure(machine, way, NEVER)
    machine.run("systemctl", "reload", "syncd")
    mended = eventually(lambda: "syncd_config_reload_ok 1" in machine.run("cat", metrics))

    assert metric
    assert "active" == status["ActiveState"]
    assert "the configuration on disk cannot be used" in status["StatusText"]
    assert "the configuration on disk cannot be used" in stands
    assert "run 1 is done" in worked
    assert "nonsense" in asked
    assert "nonsense" in machine.journal("SYNCD_EVENT=reload_refused")[0]["MESSAGE"]
    assert mended
    assert "cannot be used" not in machine.show("syncd", "StatusText")["StatusText"]


def test_a_daemon_that_is_killed_within_a_run_comes_back_and_brings_it_to_its_end(machine, way):
    configure(machine, way)
    dropped_in(machine, SHORT)
    way.how, way.after = "hang", 100_000
    machine.run("systemctl", "start", "syncd")
    amid = eventually(lambda: way.sent >= way.after)
    way.how = "pass"
    machine.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "syncd")
    found = eventually(lambda: applied(machine))

    assert amid
    assert found, journal(machine)
    assert 1 == restarts(machine)
    assert CROWD == accounts(machine)
    runs = json.loads(verb(machine, "runs", "--json"))["runs"]
    assert ["failed", "ended"] == [one["state"] for one in sorted(runs, key=lambda one: one["run"])]


HANGS = {
    "the process": ("[Service]\nRestartSec=1\nWatchdogSec=2\n", True),
    "a thread": (
        "[Service]\nRestartSec=1\nWatchdogSec=2\nExecStart=\nExecStart=/usr/bin/syncd daemon --stuck-after 2\n",
        False,
    ),
}


@pytest.mark.parametrize("what", HANGS)
def test_the_watchdog_restarts_a_daemon_of_which_something_hangs(machine, way, what):
    text, stops = HANGS[what]
    configure(machine, way)
    dropped_in(machine, text)
    way.how, way.after = "hang", 100_000
    machine.run("systemctl", "start", "syncd")
    amid = eventually(lambda: way.sent >= way.after)
    if stops:
        machine.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", "syncd")
    hung = eventually(lambda: restarts(machine) or "watchdog" in machine.show("syncd", "Result")["Result"])
    way.how = "pass"
    found = eventually(lambda: applied(machine))

    assert amid
    assert hung, journal(machine)
    assert found, journal(machine)
    assert "Watchdog timeout" in machine.run("journalctl", "--no-pager", "--unit=syncd")
    assert ([] if stops else ["service_stuck"]) == told(machine, "service_stuck")
    assert CROWD == accounts(machine)


def test_a_stop_within_a_run_takes_less_than_half_a_minute_and_the_run_is_made_good(machine, way):
    configure(machine, way)
    way.how, way.after = "hang", 100_000
    machine.run("systemctl", "start", "syncd")
    amid = eventually(lambda: way.sent >= way.after)
    begun = time.monotonic()
    machine.run("systemctl", "stop", "syncd")
    taken = time.monotonic() - begun
    ended = machine.show("syncd", "ActiveState", "Result")
    way.how = "pass"
    machine.run("systemctl", "start", "syncd")
    found = eventually(lambda: applied(machine))

    assert amid
    assert taken < 30
    assert {"ActiveState": "inactive", "Result": "success"} == ended
    assert found, journal(machine)
    assert CROWD == accounts(machine)
