"""From one directory to another, through the whole line and the command line: two real slapds and syncd between them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from servers.ldap_platform import UNITS, WRITABLE, entries, group
from servers.slapd import MISSING, PASSWORD, PEOPLE, READER, SUFFIX, Slapd, StartSlapd, person
from servers.spoilers import Proxy

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

STAFF = f"ou=staff,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
CONFIGURATION = """
state_directory = "{folder}/state"
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["{source}"]
tls = "none"
base = ["{people}"]
filter = "(objectClass=inetOrgPerson)"
match = ["login"]
detain = "never"
leavers = {{ disabled = "disable", missing = "{missing}", reads = 1, after = "0s" }}
limits = {{ remove = {{ percent = "off", count = "off", per_day = "off" }}, add = "off", update = "off" }}
[source.hq.map]
login = "uid"
display_name = "cn"
last_name = "sn"
phone = "roomNumber"
groups = {{ from = "departmentNumber" }}
[platform.staff]
type = "ldap"
url = ["{platform}"]
tls = "none"
allow_plaintext_bind = true
read_timeout = 3
bind = {{ dn = "{writer}", password = "file:{folder}/password" }}
base = "{staff}"
attributes = {{ uid = "login", cn = "display_name", sn = "last_name", telephoneNumber = "phone" }}
disable = {{ attribute = "employeeType", value = "left" }}
groups = {{ base = "{groups}" }}
limits = {{ remove = {{ percent = "off", count = "off", per_day = "off" }}, add = "off", update = "off" }}
[platform.staff.map]
telephoneNumber = {{ from = "phone", via = ["trim"] }}
"""


class World:
    """Two directories and a configuration, used as a sysadmin would."""

    def __init__(self, folder: Path, source: Slapd, platform: Slapd) -> None:
        self.folder = folder
        self.source = source
        self.platform = platform
        self.url = platform.url
        self.missing = "disable"
        self.configuration = CONFIGURATION
        password = folder / "password"
        password.touch(0o600)
        password.write_text(PASSWORD)

    def command(self, *words: str) -> list[str]:
        file = self.folder / "syncd.toml"
        text = self.configuration.format(
            folder=self.folder,
            source=self.source.url,
            platform=self.url,
            people=PEOPLE,
            staff=STAFF,
            groups=GROUPS,
            writer=READER,
            missing=self.missing,
        )
        file.write_text(text)
        file.chmod(0o600)
        return [sys.executable, "-m", "syncd", "--config", str(file), *words]

    def syncd(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120, check=False)

    def sync(self, code: int = 0) -> str:
        done = self.syncd("sync", "hq")
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    def staff(self) -> dict[str, dict[str, list[str]]]:
        """Return the entries of the second directory by their uid, without classes."""
        return {
            values["uid"][0]: {name: texts for name, texts in values.items() if name != "objectClass"}
            for values in entries(self.platform, STAFF).values()
        }

    def ids(self) -> dict[str, str]:
        found = entries(self.platform, STAFF, "entryUUID", "uid")
        return {values["uid"][0]: values["entryUUID"][0] for values in found.values()}

    def retry(self) -> str:
        done = self.syncd("deliveries", "retry", "staff")
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def as_expected(self) -> None:
        """Nothing differs, nobody is there twice, and all that the source has is there."""
        verified = self.syncd("verify", "staff")
        assert 0 == verified.returncode, verified.stdout + verified.stderr
        source = {values["uid"][0]: values for values in entries(self.source, PEOPLE).values()}
        active = {uid: values for uid, values in self.staff().items() if "employeeType" not in values}
        assert {uid: (values["cn"], values["sn"]) for uid, values in source.items()} == {
            uid: (values["cn"], values["sn"]) for uid, values in active.items()
        }


@pytest.fixture
def world(tmp_path: Path, start_slapd: StartSlapd) -> Callable[[int], World]:
    """``world(40)`` has so many people in the source, and nobody in the platform."""

    def make(count: int) -> World:
        people = [
            person(f"u{n}", departmentNumber="sales" if n % 2 else "staff", roomNumber=f" {n}")
            for n in range(count)
        ]
        staff = f"dn: {STAFF}\nobjectClass: organizationalUnit\nou: staff\n"
        target = start_slapd([*UNITS, staff, group("sales"), group("staff")], access=WRITABLE)
        return World(tmp_path, start_slapd(people), target)

    return make


def members(world: World, name: str) -> list[str]:
    (values,) = entries(world.platform, f"cn={name},{GROUPS}", "member", scope="base").values()
    return [one.partition(",")[0].removeprefix("uid=") for one in values["member"] if "nobody" not in one]


def test_joiners_movers_leavers_and_returners_from_directory_to_directory(world) -> None:
    here = world(20)
    here.sync()
    assert {
        "uid": ["u7"],
        "cn": ["Person u7"],
        "sn": ["Surname u7"],
        "telephoneNumber": ["7"],
    } == here.staff()["u7"]
    assert sorted(f"u{n}" for n in range(1, 20, 2)) == members(here, "sales")
    here.as_expected()
    ids = here.ids()

    here.source.modify(f"dn: uid=u7,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=ü 7\\, b\ndeleteoldrdn: 1\n")
    here.source.modify(f"dn: uid=u8,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Newly-Wed\n")
    here.source.delete(f"uid=u9,{PEOPLE}")
    here.source.add(person("new"))
    here.sync()
    now = here.ids()
    assert (ids["u7"], ids["u8"], ids["u9"]) == (now["ü 7, b"], now["u8"], now["u9"])
    assert "ü 7\\2C b" in members(here, "sales")
    assert "u7" not in members(here, "sales")
    assert ["left"] == here.staff()["u9"]["employeeType"]
    here.as_expected()

    here.source.add(person("u9", departmentNumber="sales", roomNumber="9"))
    here.sync()
    assert "employeeType" not in here.staff()["u9"]
    assert ids["u9"] == here.ids()["u9"]
    here.as_expected()

    here.missing = "delete"
    here.source.delete(f"uid=u9,{PEOPLE}")
    here.sync()
    assert "u9" not in here.staff()
    assert "u9" not in members(here, "sales")
    here.as_expected()

    here.source.add(person("u9"))
    here.sync()
    assert ids["u9"] != here.ids()["u9"]
    here.as_expected()
    assert "0 applied" in here.sync()


def test_the_groups_of_one_directory_become_groups_of_the_other(world) -> None:
    """Their names are those of the first directory, so what is taken over is what they are called."""
    here = world(4)
    teams = f"ou=teams,{SUFFIX}"
    here.source.add(
        f"dn: {teams}\nobjectClass: organizationalUnit\nou: teams\n",
        group("sales", f"uid=u2,{PEOPLE}", base=teams),
        group("Füße, 1", f"cn=sales,{teams}", base=teams),
    )
    here.configuration = CONFIGURATION.replace("departmentNumber", "memberOf").replace(
        "filter =", f'groups = {{{{ base = ["{teams}"] }}}}\nfilter ='
    )
    told = here.sync(65)
    assert "1 failed" in told
    refused = here.syncd("deliveries", "list").stdout
    assert "is a distinguished name, and groups are known by cn" in refused
    assert 'via = ["rdn"]' in refused
    assert ["u0", "u1", "u3"] == sorted(here.staff())

    here.configuration = here.configuration.replace(
        "[platform.staff.map]", '[platform.staff.map]\nmemberships = {{ from = "groups", via = ["rdn"] }}'
    ).replace('base = "{groups}" }}\n', 'base = "{groups}", create = true }}\n')
    here.sync()
    assert (["u2"], ["u2"]) == (members(here, "sales"), members(here, "Füße\\, 1"))
    here.as_expected()


def test_what_the_directory_refuses_fails_alone_and_says_why(world) -> None:
    """A value that the schema does not take, and a group that is not there."""
    here = world(10)
    here.source.modify(f"dn: uid=u2,{PEOPLE}\nchangetype: modify\nreplace: roomNumber\nroomNumber: ü\n")
    here.source.modify(
        f"dn: uid=u3,{PEOPLE}\nchangetype: modify\nreplace: departmentNumber\ndepartmentNumber: nix\n"
    )
    here.syncd("sync", "hq")
    waiting = json.loads(here.syncd("deliveries", "--json").stdout)["deliveries"]

    assert ["failed", "failed"] == [one["state"] for one in waiting]
    assert "invalidAttributeSyntax at telephoneNumber (21)" in waiting[0]["message"]
    assert "there is no group 'nix' below" in waiting[1]["message"]
    assert {f"u{n}" for n in range(10)} - {"u2"} == set(here.staff())

    here.source.modify(f"dn: uid=u2,{PEOPLE}\nchangetype: modify\nreplace: roomNumber\nroomNumber: 2\n")
    here.platform.add(group("nix"))
    here.sync()
    here.retry()
    here.as_expected()


def test_a_server_that_is_killed_in_the_middle_gets_everybody_once(world) -> None:
    here = world(400)
    process = subprocess.Popen(
        here.command("sync", "hq"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None and not here.staff():
        pass
    here.platform.stop(signal.SIGKILL)
    process.wait(60)
    port = here.platform.port
    here.platform.start()
    here.url = here.platform.url
    here.retry()
    here.sync()

    assert 400 == len(here.staff()), port
    here.as_expected()


@pytest.mark.parametrize("after", [500, 4000, 25_000])
def test_killed_between_intent_and_outcome_everything_is_done_once(world, after: int) -> None:
    """The server has done what was asked and its answers are lost; then syncd is killed with ``kill -9``."""
    here = world(150)
    with Proxy(here.platform.port, "hang", after) as proxy:
        here.url = f"ldap://127.0.0.1:{proxy.port}"
        process = subprocess.Popen(
            here.command("sync", "hq"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while time.monotonic() < until and proxy.sent < after:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        assert (-signal.SIGKILL, True) == (process.wait(), proxy.sent >= after)
    here.url = here.platform.url
    before = here.ids()
    here.sync()

    assert 150 == len(here.staff())
    assert before.items() <= here.ids().items()
    here.as_expected()


def test_killed_again_and_again_while_people_change_it_ends_as_it_should(world) -> None:
    chance = random.Random(7)
    here = world(60)
    for _ in range(6):
        process = subprocess.Popen(
            here.command("sync", "hq"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.5, 1.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        names = list(entries(here.source, PEOPLE, "1.1"))
        one, two = chance.sample(names, 2)
        new = f"r{chance.random()}"
        here.source.modify(f"dn: {one}\nchangetype: modrdn\nnewrdn: uid={new}\ndeleteoldrdn: 1\n")
        here.source.modify(f"dn: {two}\nchangetype: modify\nreplace: cn\ncn: changed {chance.random()}\n")
    here.sync()
    here.sync()

    here.as_expected()
