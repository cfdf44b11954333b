"""Floor 5: the files of a new plugin, by their path; ``@PLUGIN@`` and the like are filled in."""

from __future__ import annotations

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "@TYPE@"
version = "0.1.0"
description = "A source and a platform for syncd."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["pydantic>=2", "syncd"]

[project.entry-points.syncd]
@PLUGIN@ = "@PLUGIN@"

[dependency-groups]
dev = ["mypy", "pytest", "ruff"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["src"]

[tool.mypy]
strict = true
mypy_path = ["src"]

[tool.ruff]
line-length = 100
"""

_README = """\
# @TYPE@

A source and a platform for syncd.

    pip install .        # into the environment of syncd
    syncd plugins        # shows it, once it is listed in the configuration

In `/etc/syncd/syncd.toml`:

    plugins = ["@PLUGIN@"]

    [enterprise.acme]
    sources = ["people"]

    [source.people]
    type = "@TYPE@"
    path = "/srv/people.txt"
    match = ["login"]

    [source.people.map]
    login = "mail"
    display_name = "name"
    email = "mail"

    [platform.files]
    type = "@TYPE@"
    folder = "/srv/accounts"

## Working on it

    pip install syncd pytest
    pytest

`src/@PLUGIN@/__init__.py` is all there is: put your system in the place of the file and the folder, and
keep `tests/test_@PLUGIN@.py` green. Its two classes hold what syncd relies on, a test per requirement.
"""

_PLUGIN = '''\
"""People from a text file, and accounts as files in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel
from pydantic import Field as Option
from syncd import (
    Account,
    Checkpoint,
    Connector,
    Denied,
    Entry,
    Field,
    Gone,
    Platform,
    Problem,
    Source,
    Unavailable,
    hookimpl,
)

SYNCD_API = @API@


class @CLASS@Source(Source):
    """Reads lines such as ``4711;Ada Lovelace;ada@acme.example``; the last line is ``end``."""

    class Options(BaseModel, extra="forbid"):
        path: Path = Option(description="the file to read")

    options: Options

    def read(self, cursor: str | None) -> Iterator[Entry | Problem | Checkpoint]:
        """Yield a person per line. Without its last line a file is half-written: no Checkpoint."""
        path = self.options.path
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip() == "end":
                        yield Checkpoint(cursor=None, full=True)
                        return
                    yield _person(number, line.rstrip("\\n").split(";"))
        except PermissionError as error:
            raise Denied(f"{path}: {error.strerror}; let syncd read it") from error
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{path} cannot be read: {error}") from error


def _person(number: int, parts: list[str]) -> Entry | Problem:
    if len(parts) != 3 or not parts[0]:
        return Problem(None, "bad-line", f"line {number} is not of the form number;name;address")
    anchor, name, mail = parts
    return Entry(anchor, {"name": (name,), "mail": (mail,) if mail else ()})


class @CLASS@Platform(Platform):
    """Keeps a file per account in a folder."""

    class Options(BaseModel, extra="forbid"):
        folder: Path = Option(description="the folder that holds the files")

    options: Options
    fields: Mapping[str, Field] = {
        "login": Field("login", "the name to log in with", required=True, key=True, limit=64),
        "name": Field("display_name", "the name shown to others", limit=256),
        "note": Field("description", "free text", limit=4096),
    }

    def open(self) -> None:
        if not self.options.folder.is_dir():
            raise Unavailable(f"{self.options.folder} is not a folder; make it, or mount it")

    def add(self, account: Account) -> str:
        remote_id = quote(account.key, safe="")
        self._write(remote_id, account)
        return remote_id

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        if not self._file(remote_id).exists():
            raise Gone(f"{self._file(remote_id)} is not there any more")
        self._write(remote_id, account)

    def disable(self, remote_id: str, account: Account) -> None:
        self._write(remote_id, replace(account, enabled=False))

    def enable(self, remote_id: str, account: Account) -> None:
        self._write(remote_id, replace(account, enabled=True))

    def delete(self, remote_id: str) -> None:
        try:
            self._file(remote_id).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._file(remote_id)} cannot be removed: {error}") from error

    def find(self, account: Account) -> str | None:
        remote_id = quote(account.key, safe="")
        return remote_id if self._file(remote_id).exists() else None

    def list(self) -> Iterator[tuple[str, str]]:
        for file in sorted(self.options.folder.glob("*.json")):
            yield file.stem, hashlib.sha256(file.read_bytes()).hexdigest()

    def fingerprint(self, account: Account) -> str:
        return hashlib.sha256(_text(account)).hexdigest()

    def _file(self, remote_id: str) -> Path:
        return self.options.folder / f"{remote_id}.json"

    def _write(self, remote_id: str, account: Account) -> None:
        try:
            self._file(remote_id).write_bytes(_text(account))
        except OSError as error:
            raise Unavailable(f"{self._file(remote_id)} cannot be written: {error}") from error


def _text(account: Account) -> bytes:
    seen = {"key": account.key, "enabled": account.enabled, "fields": dict(account.fields)}
    return json.dumps(seen, sort_keys=True).encode()


@hookimpl
def register_connectors(register: Callable[[str, type[Connector]], None]) -> None:
    register("@TYPE@", @CLASS@Source)
    register("@TYPE@", @CLASS@Platform)
'''

_TESTS = '''\
"""What syncd relies on, a test per requirement, and below it what is this plugin's own."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from syncd import Connector, Unavailable
from syncd.testing import PlatformConformance, SourceConformance, context

from @PLUGIN@ import @CLASS@Platform, @CLASS@Source, register_connectors


class People:
    """The file, changed as the system that writes it would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, str] = {}
        self._numbers = itertools.count(4711)

    def add(self) -> str:
        anchor = str(next(self._numbers))
        self.names[anchor] = f"Person {anchor}"
        self._save()
        return anchor

    def change(self, anchor: str) -> None:
        self.names[anchor] += ", renamed"
        self._save()

    def remove(self, anchor: str) -> None:
        del self.names[anchor]
        self._save()

    def _save(self) -> None:
        lines = [f"{anchor};{name};\\n" for anchor, name in self.names.items()]
        self.path.write_text("".join([*lines, "end\\n"]), encoding="utf-8")


def source(path: Path) -> @CLASS@Source:
    return @CLASS@Source(@CLASS@Source.Options(path=path), context())


def platform(folder: Path) -> @CLASS@Platform:
    return @CLASS@Platform(@CLASS@Platform.Options(folder=folder), context())


class TestSource(SourceConformance):
    @pytest.fixture
    def world(self, tmp_path: Path) -> People:
        people = People(tmp_path / "people.txt")
        for _ in range(3):
            people.add()
        return people

    @pytest.fixture
    def source(self, world: People) -> @CLASS@Source:
        return source(world.path)

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> @CLASS@Source:
        return source(tmp_path / "nothing" / "people.txt")

    def test_a_half_written_file_is_torn(self, world: People) -> None:
        world.path.write_text("4711;Ada Lovelace;ada@acme.example\\n", encoding="utf-8")

        assert ["Entry"] == [type(item).__name__ for item in source(world.path).read(None)]

    def test_a_file_in_another_encoding_is_not_read(self, world: People) -> None:
        world.path.write_bytes("4711;Zoë;\\nend\\n".encode("latin-1"))

        with pytest.raises(Unavailable, match="cannot be read"):
            list(source(world.path).read(None))


class TestPlatform(PlatformConformance):
    lists = True

    @pytest.fixture
    def platform(self, tmp_path: Path) -> @CLASS@Platform:
        return platform(tmp_path)

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> @CLASS@Platform:
        return platform(tmp_path / "nothing")


def test_its_types_are_registered() -> None:
    registered: list[tuple[str, type[Connector]]] = []
    register_connectors(lambda word, kind: registered.append((word, kind)))

    assert [("@TYPE@", @CLASS@Source), ("@TYPE@", @CLASS@Platform)] == registered
'''

FILES = {
    "pyproject.toml": _PYPROJECT,
    "README.md": _README,
    "src/@PLUGIN@/__init__.py": _PLUGIN,
    "src/@PLUGIN@/py.typed": "",
    "tests/test_@PLUGIN@.py": _TESTS,
}
"""Path -> text."""
