"""From the exported users of one MiVoice to the import of another, through the whole line and the command line."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from syncd_bulk.ldif import LdifFile, blocks

CONFIGURATION = """
state_directory = "{folder}/state"
[enterprise.acme]
synchronizer = "pbx"
sources = ["old"]
[source.old]
type = "mivoice"
preset = "mivoice"
path = "{folder}/users.csv"
stable_for = 0
match = ["login"]
detain = "never"
leavers = {{ missing = "disable", reads = 1, after = "0s" }}
limits = {{ remove = "off", add = "off", update = "off", shrink = "off" }}
[platform.new]
type = "mivoice"
product = "business"
path = "{folder}/out"
dn = "CN={{sAMAccountName}},DC=acme"
limits = {{ remove = "off", add = "off", update = "off" }}
[platform.new.map]
Role = {{ constant = "sales" }}
"""


class World:
    """Two systems and a configuration, used as a sysadmin would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there: dict[str, str] = {}
        (folder / "out").mkdir()
        (folder / "syncd.toml").write_text(CONFIGURATION.format(folder=folder))

    def sync(self, **people: str) -> None:
        rows = [f"{login},Person {login},{number},5330" for login, number in people.items()]
        header = "Login ID,Last Name,Primary Phone Directory Number,Device Type"
        (self.folder / "users.csv").write_text("\r\n".join([header, *rows, ""]))
        self.syncd("sync", "old")

    def syncd(self, *words: str) -> str:
        command = [sys.executable, "-m", "syncd", "--config", str(self.folder / "syncd.toml"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in {0, 69}, done.stdout + done.stderr  # 69: a delivery waits
        return done.stdout

    def collect(self) -> list[str]:
        """Import all that waits, as a system does that has no number twice; return login and number of everybody."""
        for path in sorted((self.folder / "out").glob("[!.]*")):
            data = path.read_bytes()
            path.unlink()
            if path.suffix == ".csv":
                rows = csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True)
                self.put({row["Login ID"]: row["Primary Phone Directory Number"] for row in rows})
                continue
            for _, block in list(blocks(io.BytesIO(data)))[1:]:
                login = re.match(rb"dn: CN=([a-z]+),", block)[1].decode()
                if b"changetype: delete" in block:
                    del self.there[login]
                    continue
                text = re.sub(rb"^(changetype|replace): .*\n|^-(\n|$)", b"", block, flags=re.MULTILINE)
                (entry,) = LdifFile(io.BytesIO(text))
                self.put({login: dict(entry.values).get("telephonenumber", [""])[0]})
        return [f"{login} {number}" for login, number in sorted(self.there.items())]

    def put(self, users: dict[str, str]) -> None:
        self.there.update(users)
        numbers = [number for number in self.there.values() if number]
        assert len(numbers) == len(set(numbers)), f"a number twice: {self.there}"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_people_come_change_and_go_by_files_that_are_imported(world):
    world.sync(ada="100", bob="101", eve="102")
    assert ["ada 100", "bob 101", "eve 102"] == world.collect()

    world.sync(ada="200", eve="102", zoe="103")
    assert ["ada 200", "eve 102", "zoe 103"] == world.collect()

    world.sync(ada="200", eve="102", zoe="103")
    assert [] == list((world.folder / "out").glob("[!.]*"))
    assert "mivoice" in world.syncd("plugins")


def test_a_number_goes_to_another_person_only_when_the_first_has_let_go_of_it_over_there(world):
    world.sync(ada="100", bob="101")
    world.collect()
    for _ in range(3):
        world.sync(ada="101", bob="100")
        seen = world.collect()
        world.syncd("deliveries", "retry", "new")

    assert ["ada 101", "bob 100"] == seen
