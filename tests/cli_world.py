"""An installation in a folder, worked on through the command line alone: two files to read, one to write."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from syncd import logs
from syncd.cli import root, session
from syncd.logs import redaction

PROGRAM = (sys.executable, "-c", "from syncd.cli import main; main()")
"""What calls syncd in a process of its own, whether or not its script is on the path."""

START = datetime(2026, 1, 5, 8, tzinfo=UTC)

CONFIGURATION = """
state_directory = "{folder}/state"
timezone = "Europe/Berlin"

[template.desk]
defaults = {{ company = "Acme" }}
[role.employee]
template = "desk"

[enterprise.acme]
sources = ["hr", "directory"]
protected = ["login:root"]

[source.hr]
type = "csv"
path = "{folder}/hr.csv"
anchor = "number"
stable_for = 0
match = ["login"]
operations = ["add", "update", "remove"]
leavers = {{ reads = 1, after = "0s" }}
role = "employee"
[source.hr.map]
login = "login"
first_name = "first"
last_name = "last"
email = {{ from = "mail", via = ["lower"] }}
[source.hr.rules]
email = {{ also = ["e-mail"] }}

[source.directory]
type = "ldif"
path = "{folder}/directory.ldif"
anchor = "entryUUID"
stable_for = 0
match = ["login"]
operations = ["update"]
owns = false
detain = "never"
limits = {{ update = "off" }}
[source.directory.map]
login = "uid"
email = "mail"
phone = "telephoneNumber"

[platform.phonebook]
type = "csv"
path = "{folder}/phonebook.csv"
columns = ["login", "email", "phone"]
"""

PEOPLE = {
    "1": ("ada", "Ada", "Lovelace", "Ada@acme.example"),
    "2": ("grace", "Grace", "Hopper", "grace@acme.example"),
    "3": ("alan", "Alan", "Turing", "alan@acme.example"),
}
DIRECTORY = """\
dn: uid=ada,dc=acme
entryUUID: u-1
uid: ada
mail: countess@acme.example
telephoneNumber: +49 40 111
"""


class Office:
    """The folder, and the command line on it; ``now`` is the time that every command sees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START
        self.people = dict(PEOPLE)
        self.config = folder / "syncd.toml"
        self.config.write_text(CONFIGURATION.format(folder=folder), "utf-8")
        (folder / "directory.ldif").write_text(DIRECTORY, "utf-8")
        self.write()

    @property
    def database(self) -> Path:
        return self.folder / "state" / "syncd.db"

    def write(self) -> None:
        """Write ``people`` as the file of the source hr."""
        with (self.folder / "hr.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("number", "login", "first", "last", "mail"))
            rows.writerows((number, *person) for number, person in self.people.items())

    def change(self, **numbers: tuple[str, ...] | None) -> None:
        """Change people by ``n1=(login, first, last, mail)``; None takes them away."""
        for name, person in numbers.items():
            if person is None:
                del self.people[name.removeprefix("n")]
            else:
                self.people[name.removeprefix("n")] = person
        self.write()

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def set(self, old: str, new: str) -> None:
        """Change the configuration."""
        text = self.config.read_text("utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), "utf-8")

    def without(self, source: str) -> None:
        """Take a source out of the configuration."""
        text = self.config.read_text("utf-8").replace(f'"{source}", ', "").replace(f', "{source}"', "")
        tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
        own = (f"[source.{source}]", f"[source.{source}.")
        self.config.write_text("".join(one for one in tables if not one.startswith(own)), "utf-8")

    def run(self, *words: str) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(root, ["--config", str(self.config), *words])

    def out(self, *words: str, code: int = 0) -> str:
        """Run a command that has to end with ``code``, and return its standard output."""
        result = self.run(*words)
        assert code == result.exit_code, f"{words}: {result.output}"
        return result.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with --json and return the document, which is all that it writes."""
        return json.loads(self.out(*words, "--json", code=code))

    def begin(self) -> None:
        """Have everybody there: the first plan of hr applied, the directory read, the platform told."""
        self.out("preview", "hr", code=3)
        self.out("apply", "1", "--yes")
        self.out("sync")

    def process(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        command = [*PROGRAM, "--config", str(self.config), *words]
        options = {"capture_output": True, "text": True, "env": environment(), "timeout": 60, **options}
        return subprocess.run(command, check=False, **options)


def environment(**more: str) -> dict[str, str]:
    """Return the environment without what would change syncd's output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "SUDO_"))}
    return {**kept, "COLUMNS": "80", **more}


@pytest.fixture
def office(tmp_path, monkeypatch):
    """An office whose commands all see its own time."""
    with at_work(Office(tmp_path), monkeypatch) as made:
        yield made


@contextmanager
def at_work(made: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let all commands see the time of what was ``made``; the logging of the process is as it was afterwards."""
    monkeypatch.setattr(session, "now", lambda: made.now)
    monkeypatch.setattr(session, "actor", lambda _environ: "kim")
    monkeypatch.setattr(redaction, "SECRETS", redaction.Secrets())
    monkeypatch.setattr(logs, "_threshold", 0)
    for name in list(os.environ):
        if name.startswith("SYNCD_"):
            monkeypatch.delenv(name)
    top = logging.getLogger()
    before = (list(top.handlers), top.level)
    yield made
    top.handlers[:], top.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()
