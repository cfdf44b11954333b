"""The package, the units and the log on a machine of their own, where systemd is process 1."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from servers.machine import Machine

from syncd.logs.journal import message_id

pytest_plugins = ("servers.fixtures",)

LOCK = "/var/lib/syncd/lock"

CONFIGURATION = """
{plugins}
[enterprise.acme]
sources = ["staff"]
[source.staff]
type = "ldif"
path = "/srv/staff.ldif"
anchor = "entryUUID"
stable_for = 0
match = ["login"]
detain = "never"
[source.staff.map]
login = "uid"
last_name = "sn"
"""

OFTEN = 'schedule = { full = "every 5m" }'

DIRECTORY = """
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["ldaps://dc1.acme.example"]
bind = { dn = "CN=syncd,DC=acme,DC=example", password = "credential:hq" }
base = ["DC=acme,DC=example"]
preset = "ad-user"
"""

STAFF = """
dn: uid=ada,ou=people,dc=acme,dc=example
entryUUID: 11111111-1111-4111-8111-111111111111
uid: ada
sn: Lovelace
"""


def configure(machine: Machine, text: str = CONFIGURATION, *, plugins: str = "") -> None:
    machine.write("/etc/syncd/syncd.toml", text.replace("{plugins}", plugins), "640", "root:syncd")
    machine.write("/srv/staff.ldif", STAFF, "644")


def dropped_in(machine: Machine, unit: str, text: str) -> None:
    """What ``systemctl edit`` would do."""
    machine.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
    machine.run("systemctl", "daemon-reload")


def eventually(found, patience: float = 20.0):
    """Return the first true answer of ``found``, else its last one."""
    deadline = time.monotonic() + patience
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def modes(machine: Machine, *paths: str) -> list[str]:
    return machine.run("stat", "--format=%n %a %U:%G", *paths).splitlines()


def test_the_package_brings_user_group_folders_socket_and_completions(bare_machine, package):
    machine = bare_machine
    machine.install(package)
    machine.run("systemctl", "start", "syncd.socket")

    assert [
        "/etc/syncd 750 root:syncd",
        "/etc/syncd/syncd.toml.example 640 root:syncd",
        "/etc/syncd/credentials 700 root:root",
        "/var/lib/syncd 700 syncd:syncd",
        "/run/syncd 755 syncd:syncd",
        "/run/syncd/control.sock 660 root:syncd-admin",
    ] == modes(
        machine,
        *("/etc/syncd", "/etc/syncd/syncd.toml.example", "/etc/syncd/credentials", "/var/lib/syncd"),
        *("/run/syncd", "/run/syncd/control.sock"),
    )
    assert "syncd.service disabled" in " ".join(
        machine.run("systemctl", "list-unit-files", "--no-legend", "syncd*").split()
    )
    assert "_syncd_completion" in machine.run("cat", "/usr/share/bash-completion/completions/syncd")
    assert machine.run("syncd", "--version").startswith("syncd ")
    assert "" == machine.run("dpkg", "--verify", "syncd")


def test_a_timers_run_is_told_in_the_journal_with_fields_and_explanations(machine):
    configure(machine)
    machine.run("systemctl", "start", "syncd-sync@staff.service")
    planned = machine.journal("SYNCD_EVENT=run_planned")

    assert 1 == len(planned)
    entry = planned[0]
    assert {
        "MESSAGE_ID": message_id("run_planned"),
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "syncd",
        "SYNCD_RUN": "1",
        "SYNCD_CONNECTION": "staff",
        "SYNCD_ENTRIES": "1",
        "SYNCD_ADD": "1",
        "_SYSTEMD_UNIT": "syncd-sync@staff.service",
        "_TRANSPORT": "journal",
    }.items() <= entry.items()
    assert entry["MESSAGE"].startswith("run_planned run=1 connection=staff entries=1 add=1")
    explained = machine.run("journalctl", "-x", "--no-pager", "SYNCD_EVENT=run_planned")
    assert "The plan is complete and stored" in explained
    assert "syncd runs 1" in explained
    accounts = json.loads(machine.run("runuser", "-u", "syncd", "--", "syncd", "accounts", "--json"))
    assert ["ada"] == [one["attributes"]["login"] for one in accounts["accounts"]]


def test_a_timer_starts_the_run_of_its_source(machine):
    configure(machine)
    dropped_in(
        machine,
        "syncd-sync@staff.timer",
        "[Timer]\nOnCalendar=\nRandomizedDelaySec=0\nAccuracySec=100ms\nOnActiveSec=1\n",
    )
    machine.run("systemctl", "enable", "--now", "syncd-sync@staff.timer")

    assert eventually(lambda: machine.journal("SYNCD_EVENT=run_applied"))
    assert "success" == machine.show("syncd-sync@staff.service", "Result")["Result"]


def test_a_run_that_finds_another_at_work_is_tried_again_and_nothing_else_is(machine):
    configure(machine)
    dropped_in(machine, "syncd-sync@.service", "[Service]\nRestartSec=1\n")
    machine.run("systemd-run", "--unit=other", "--uid=syncd", "flock", LOCK, "sleep", "600")
    held = eventually(lambda: "held" in machine.run("sh", "-c", f"flock -n {LOCK} true || echo held"))
    machine.run("systemctl", "start", "syncd-sync@staff.service", check=False)
    tried = eventually(lambda: int(machine.show("syncd-sync@staff.service", "NRestarts")["NRestarts"]))
    machine.run("systemctl", "stop", "other")
    applied = eventually(lambda: machine.journal("SYNCD_EVENT=run_applied"))
    configure(machine, "[nonsense]\n")
    machine.run("systemctl", "start", "syncd-sync@broken.service", check=False)
    broken = machine.show("syncd-sync@broken.service", "NRestarts", "ExecMainStatus", "ActiveState")

    assert held
    assert tried
    assert applied
    assert {"NRestarts": "0", "ExecMainStatus": "78", "ActiveState": "failed"} == broken


@pytest.mark.parametrize(
    ("folder", "line", "code"),
    [
        ("/etc/syncd/credentials", "", "0"),
        ("/root/elsewhere", "LoadCredential=hq:/root/elsewhere/hq\n", "0"),
        ("/root/elsewhere", "", "78"),
    ],
)
def test_the_service_gets_the_secrets_that_only_root_can_read(machine, folder, line, code):
    machine.write(f"{folder}/hq", "hunter2-hunter2\n", "600")
    configure(machine, DIRECTORY)
    start = "[Service]\nExecStart=\nExecStart=/usr/bin/syncd check\n"
    dropped_in(machine, "syncd-sync@hq.service", start + line)
    machine.run("systemctl", "start", "syncd-sync@hq.service", check=False)
    said = machine.run("journalctl", "--no-pager", "--output=cat", "--unit=syncd-sync@hq.service")

    assert code == machine.show("syncd-sync@hq.service", "ExecMainStatus")["ExecMainStatus"], said
    assert "hunter2" not in said
    assert (code == "0") is ("systemd passed no such credential" not in said)


def test_secrets_may_be_encrypted_at_rest(machine):
    machine.run("mkdir", "-m", "700", "/etc/syncd/credentials.encrypted")
    encrypt = ["systemd-creds", "encrypt", "--with-key=host", "--name=syncd_hq", "-"]
    machine.run(*encrypt, "/etc/syncd/credentials.encrypted/hq", given="hunter2-hunter2")
    configure(machine, DIRECTORY)
    folder = "LoadCredentialEncrypted=syncd:/etc/syncd/credentials.encrypted\n"
    start = "[Service]\nExecStart=\nExecStart=/usr/bin/syncd check\n"
    dropped_in(machine, "syncd-sync@hq.service", start + folder)
    machine.run("systemctl", "start", "syncd-sync@hq.service")

    assert "0" == machine.show("syncd-sync@hq.service", "ExecMainStatus")["ExecMainStatus"]
    assert "hunter2" not in machine.run("cat", "/etc/syncd/credentials.encrypted/hq")


def test_the_daemon_reads_by_its_schedule_reloads_and_ends_well(machine):
    configure(machine, CONFIGURATION.replace("detain", f"{OFTEN}\ndetain"))
    machine.run("systemctl", "enable", "--now", "syncd")
    applied = eventually(lambda: machine.journal("SYNCD_EVENT=run_applied", "_TRANSPORT=journal"))
    machine.run("systemctl", "reload", "syncd")
    running = eventually(
        lambda: (
            {"ActiveState": "active", "NRestarts": "0"} == machine.show("syncd", "ActiveState", "NRestarts")
        )
    )
    machine.run("systemctl", "stop", "syncd")

    assert applied, machine.run("journalctl", "--no-pager", "--unit=syncd")
    assert running
    assert {"ActiveState": "inactive", "Result": "success"} == machine.show("syncd", "ActiveState", "Result")
    assert eventually(lambda: "inactive" == machine.show("syncd.socket", "ActiveState")["ActiveState"])
    assert [] == machine.journal("_SYSTEMD_UNIT=syncd.service", "--priority=warning")


def test_members_of_the_group_are_served_through_the_socket_and_strangers_are_not(machine):
    configure(machine, CONFIGURATION)
    for person in ("ada", "eve"):
        machine.run("useradd", person)
    machine.run("usermod", "--append", "--groups", "syncd-admin", "ada")
    machine.run("systemctl", "start", "syncd.socket")  # the first verb starts the daemon
    asked = machine.run("runuser", "-u", "ada", "--", "syncd", "sync", "staff", check=False)
    refused = machine.run("runuser", "-u", "eve", "--", "syncd", "sync", "staff", check=False)

    assert "staff: run 1 is done: 1 entry, 0 unchanged, 1 applied" in asked
    assert "this user may not connect there" in refused
    assert "active" == machine.show("syncd", "ActiveState")["ActiveState"]
    assert ["/run/syncd/control.sock 660 root:syncd-admin"] == modes(machine, "/run/syncd/control.sock")


def test_what_listens_outlives_a_daemon_that_is_killed(machine):
    configure(machine)
    dropped_in(machine, "syncd.service", "[Service]\nRestartSec=1\n")
    machine.run("systemctl", "start", "syncd")
    machine.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "syncd")
    again = eventually(
        lambda: (
            {"ActiveState": "active", "NRestarts": "1"} == machine.show("syncd", "ActiveState", "NRestarts")
        )
    )

    assert again
    assert ["/run/syncd/control.sock 660 root:syncd-admin"] == modes(machine, "/run/syncd/control.sock")


STUB = """
import signal, sys, time
from syncd import logs
from syncd.notify import Notify

logs.configure()
notify, log, loads, over = Notify(), logs.get_log("stub"), [1], []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))

def reload(*_):
    notify.reloading()
    loads.append(1)
    notify.ready(f"loaded {len(loads)} times")

signal.signal(signal.SIGHUP, reload)
if "wrong" in sys.argv:
    sys.exit(78)
notify.extend(30)
time.sleep(0 if "quick" in sys.argv else 2)
notify.ready("loaded 1 times")
log.info("run_started", interval=notify.watchdog_interval)
while not over:
    if "hang" not in sys.argv:
        notify.watchdog()
    time.sleep(0.1)
notify.stopping("draining")
notify.extend(30)
time.sleep(0 if "quick" in sys.argv else 3)
log.info("run_ended")
"""


def stand_in(machine: Machine, *words: str) -> None:
    """Let the unit start a program that tells systemd what the daemon does, with little patience."""
    machine.write("/opt/stub.py", STUB)
    start = f"ExecStart=\nExecStart=/opt/syncd/bin/python3 /opt/stub.py {' '.join(words)}\n"
    patience = "WatchdogSec=2\nTimeoutStartSec=1\nTimeoutStopSec=1\nRestartSec=1\n"
    dropped_in(machine, "syncd.service", f"[Service]\n{start}{patience}")


def test_systemd_follows_what_the_service_tells_of_itself(machine):
    """It waits for READY, also longer than TimeoutStartSec=, shows STATUS, and waits while it drains."""
    stand_in(machine)
    machine.run("systemctl", "start", "syncd")
    started = machine.show("syncd", "ActiveState", "StatusText")
    machine.run("systemctl", "reload", "syncd")
    reloaded = eventually(lambda: "loaded 2 times" == machine.show("syncd", "StatusText")["StatusText"])
    time.sleep(3)  # longer than WatchdogSec=
    alive = machine.show("syncd", "ActiveState", "NRestarts")
    machine.run("systemctl", "stop", "syncd")

    assert {"ActiveState": "active", "StatusText": "loaded 1 times"} == started
    assert reloaded
    assert {"ActiveState": "active", "NRestarts": "0"} == alive
    assert {"ActiveState": "inactive", "Result": "success"} == machine.show("syncd", "ActiveState", "Result")
    assert ["run_started", "run_ended"] == [
        one["SYNCD_EVENT"] for one in machine.journal("_SYSTEMD_UNIT=syncd.service", "_TRANSPORT=journal")
    ]
    assert "2.0" == machine.journal("SYNCD_EVENT=run_started")[0]["SYNCD_INTERVAL"]


def test_stopping_the_daemon_closes_its_socket(machine):
    stand_in(machine, "quick")
    machine.run("systemctl", "start", "syncd")
    open_ = machine.show("syncd.socket", "ActiveState")["ActiveState"]
    machine.run("systemctl", "restart", "syncd")
    again = machine.show("syncd.socket", "ActiveState")["ActiveState"]
    machine.run("systemctl", "stop", "syncd")

    assert ("active", "active") == (open_, again)
    assert eventually(lambda: "inactive" == machine.show("syncd.socket", "ActiveState")["ActiveState"])


def test_a_daemon_that_hangs_is_restarted_and_one_that_only_a_person_can_mend_is_not(machine):
    stand_in(machine, "hang")
    machine.run("systemctl", "start", "syncd")
    restarted = eventually(lambda: int(machine.show("syncd", "NRestarts")["NRestarts"]))
    said = machine.run("journalctl", "--no-pager", "--unit=syncd.service")
    machine.run("systemctl", "kill", "--signal=KILL", "syncd", check=False)
    machine.run("systemctl", "stop", "syncd", check=False)
    machine.run("systemctl", "reset-failed", "syncd", check=False)
    stand_in(machine, "wrong")
    machine.run("systemctl", "start", "syncd", check=False)
    time.sleep(2)

    assert restarted
    assert "Watchdog timeout" in said
    assert {"ExecMainStatus": "78", "NRestarts": "0", "ActiveState": "failed"} == machine.show(
        "syncd", "ExecMainStatus", "NRestarts", "ActiveState"
    )


SPEAKS = """
import time
from syncd import logs
logs.configure()
log = logs.get_log("test")
log.info("run_planned", names=["x" * 7000] * 200)
for number in range(300):
    log.info("run_started", number=number)
    time.sleep(0.01)
"""


def test_no_event_is_lost_while_journald_is_restarted(machine):
    machine.write("/root/speaks.py", SPEAKS)
    machine.run(
        "systemd-run", "--unit=speaks", "--property=Type=exec", "/opt/syncd/bin/python3", "/root/speaks.py"
    )
    for _ in range(3):
        time.sleep(0.6)
        machine.run("systemctl", "restart", "systemd-journald")
    eventually(lambda: machine.show("speaks", "ActiveState")["ActiveState"] != "active")
    entries = machine.journal("--unit=speaks")
    lines = [json.loads(one["MESSAGE"]) for one in entries if str(one["MESSAGE"]).startswith("{")]
    numbers = [int(one["SYNCD_NUMBER"]) for one in entries if "SYNCD_NUMBER" in one]
    numbers += [line["number"] for line in lines if "number" in line]

    assert set(range(300)) == set(numbers)
    large = [one for one in entries if one.get("SYNCD_EVENT") == "run_planned"]
    assert [1_400_000] == [len(json.loads(one["SYNCD_NAMES"])) * 7000 for one in large]


DOES_WHAT_IT_MUST_NOT = """
import json, os, socket
tried = {}
for path in ("/etc/syncd/x", "/usr/x", "/srv/x", "/home/x", "/opt/syncd/x", "/var/lib/syncd/x"):
    try:
        open(path, "w")
        tried[path] = "written"
    except OSError as error:
        tried[path] = error.strerror
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    tried["packets"] = "sent"
except OSError as error:
    tried["packets"] = error.strerror
tried["devices"] = os.path.exists("/dev/kmsg")
tried["others"] = os.path.exists("/proc/1/cmdline")
print(json.dumps(tried))
"""


def test_the_service_writes_its_state_and_nothing_else(machine):
    machine.write("/opt/tries.py", DOES_WHAT_IT_MUST_NOT)
    dropped_in(
        machine,
        "syncd-sync@.service",
        "[Service]\nExecStart=\nExecStart=/opt/syncd/bin/python3 /opt/tries.py\n",
    )
    machine.run("systemctl", "start", "syncd-sync@staff.service")
    said = machine.run("journalctl", "--no-pager", "--output=cat", "--unit=syncd-sync@staff.service")
    tried = json.loads(next(line for line in said.splitlines() if line.startswith("{")))

    assert {
        "/etc/syncd/x": "Read-only file system",
        "/usr/x": "Read-only file system",
        "/srv/x": "Read-only file system",
        "/home/x": "Permission denied",
        "/opt/syncd/x": "Read-only file system",
        "/var/lib/syncd/x": "written",
        "packets": "Address family not supported by protocol",
        "devices": False,
        "others": False,
    } == tried


def wheel() -> bytes:
    """Return a third party's plugin as pip takes it."""
    info = "acme_pbx-1.0.dist-info"
    files = {
        "acme_pbx.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: acme-pbx\nVersion: 1.0\nRequires-Dist: pydantic\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[syncd]\nacme_pbx = acme_pbx\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return packed.getvalue()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def newer(package: Path, folder: Path) -> Path:
    """Return the same package as a later version that lacks one of its files."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "tree"], check=True)
    control = folder / "tree" / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^(Version: .*)-1$", r"\1-2", control.read_text("utf-8")), "utf-8")
    (folder / "tree" / "usr/share/doc/syncd/mapping.md").unlink()
    made = folder / "newer.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", folder / "tree", made]
    subprocess.run(command, check=True, capture_output=True)
    return made


def test_an_upgrade_keeps_configuration_plugins_and_what_runs(machine, package, tmp_path):
    configure(machine, plugins='plugins = ["acme_pbx"]')
    machine.write("/root/acme_pbx-1.0-py3-none-any.whl", wheel())
    pip = "umask 022; /opt/syncd/bin/pip install --no-index /root/acme_pbx-1.0-py3-none-any.whl"
    said = machine.run("sh", "-c", pip)
    machine.run("systemctl", "enable", "--now", "syncd-sync@staff.timer")
    machine.run("systemctl", "enable", "--now", "syncd")
    machine.run("syncd", "sync", "staff")
    before = machine.show("syncd", "MainPID")
    machine.write("/etc/syncd/syncd.toml.example", "# mine\n", "640", "root:syncd")
    machine.write("/etc/syncd/credentials/hq", "hunter2", "600")

    machine.install(newer(package, tmp_path))

    assert "Successfully installed acme-pbx-1.0" in said
    assert machine.run("dpkg-query", "--show", "--showformat=${Version}", "syncd").endswith("-2")
    plugins = machine.run("runuser", "-u", "syncd", "--", "syncd", "plugins", "--json")
    assert "acme_pbx" in plugins
    accounts = json.loads(machine.run("syncd", "accounts", "--json"))["accounts"]
    assert ["ada"] == [one["attributes"]["login"] for one in accounts]
    assert before != machine.show("syncd", "MainPID")
    running = ["syncd-sync@staff.timer", "syncd.socket", "syncd.service"]
    assert ["active", "active", "active"] == machine.run("systemctl", "is-active", *running).split()
    assert "# mine\n" == machine.run("cat", "/etc/syncd/syncd.toml.example")
    assert "hunter2" == machine.run("cat", "/etc/syncd/credentials/hq")
    assert "Successfully uninstalled" in machine.run("/opt/syncd/bin/pip", "uninstall", "-y", "acme-pbx")


def leftovers(machine: Machine) -> list[str]:
    """Every path that has syncd in its name, but for those of dpkg itself."""
    found = machine.run("find", "/", "-xdev", "-name", "*syncd*", "-not", "-path", "/proc/*", "-prune")
    return sorted(one for one in found.splitlines() if not one.startswith("/var/lib/dpkg"))


def test_purging_what_nobody_used_leaves_nothing(machine):
    machine.run("systemctl", "start", "syncd.socket")
    machine.run("syncd", "--version")
    machine.run("dpkg", "--purge", "syncd")

    assert [] == leftovers(machine)


def test_removing_keeps_what_people_made_and_purging_names_it(machine):
    configure(machine)
    machine.run("systemctl", "enable", "--now", "syncd-sync@staff.timer")
    machine.run("systemctl", "start", "syncd-sync@staff.service")
    machine.run("systemctl", "enable", "--now", "syncd")
    machine.run("dpkg", "--remove", "syncd")
    kept = leftovers(machine)
    said = machine.run("dpkg", "--purge", "syncd")

    assert "/etc/syncd" in kept
    assert "/var/lib/syncd" in kept
    assert "syncd: /etc/syncd is kept; if nobody needs it: rm -r /etc/syncd" in said
    assert "syncd: /var/lib/syncd is kept; if nobody needs it: rm -r /var/lib/syncd" in said
    assert ["/etc/syncd", "/var/lib/syncd"] == leftovers(machine)
    assert "0 loaded units listed" in machine.run("systemctl", "list-units", "syncd*", "--failed")
