"""The sources and platforms ``csv`` and ``ldif`` keep the contract, over real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd import Context, Platform, Source
from syncd.testing import PlatformConformance, SourceConformance
from syncd_bulk.csvplatform import CsvPlatform
from syncd_bulk.csvsource import CsvSource
from syncd_bulk.ldifplatform import LdifPlatform
from syncd_bulk.ldifsource import LdifSource

COLUMNS = {"login": "login", "email": "email", "name": "display_name", "info": "info"}


class File:
    """The world behind a source: rows by anchor, written anew as a whole after every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = {f"p{number}": f"Person {number}" for number in range(5)}
        self.write()

    def write(self) -> None:
        raise NotImplementedError

    def add(self) -> str:
        anchor = f"p{len(self.rows)}"
        self.rows[anchor] = "Somebody new"
        self.write()
        return anchor

    def change(self, anchor: str) -> None:
        self.rows[anchor] += ", changed"
        self.write()

    def remove(self, anchor: str) -> None:
        del self.rows[anchor]
        self.write()


class Table(File):
    """A CSV file."""

    def write(self) -> None:
        rows = [f'{anchor},"{name}"' for anchor, name in self.rows.items()]
        self.path.write_text("\n".join(["id,name", *rows, f"# end {len(rows)}"]) + "\n")


class Directory(File):
    """An LDIF file."""

    def write(self) -> None:
        entries = [f"dn: uid={anchor}\nuid: {anchor}\ncn: {name}\n\n" for anchor, name in self.rows.items()]
        self.path.write_text(f"version: 1\n\n{''.join(entries)}# end {len(entries)}\n")


class TestCsvSource(SourceConformance):
    """A table whose last line counts its rows."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Table:
        return Table(tmp_path / "people.csv")

    @pytest.fixture
    def source(self, world: Table, context: Context) -> Source:
        source = CsvSource(CsvSource.Options(path=str(world.path), anchor="id", complete="trailer"), context)
        source.select(["name"])
        return source

    @pytest.fixture
    def unreachable(self, tmp_path: Path, context: Context) -> Source:
        return CsvSource(CsvSource.Options(path=str(tmp_path / "none.csv"), anchor="id"), context)


class TestLdifSource(SourceConformance):
    """An export of a directory."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Directory:
        return Directory(tmp_path / "people.ldif")

    @pytest.fixture
    def source(self, world: Directory, context: Context) -> Source:
        options = LdifSource.Options(path=str(world.path), anchor="uid", complete="trailer")
        source = LdifSource(options, context)
        source.select(["cn"])
        return source

    @pytest.fixture
    def unreachable(self, tmp_path: Path, context: Context) -> Source:
        return LdifSource(LdifSource.Options(path=str(tmp_path / "none.ldif"), anchor="uid"), context)


class TestCsvPlatform(PlatformConformance):
    """A table that another system imports."""

    lists = True

    @pytest.fixture
    def platform(self, tmp_path: Path, context: Context) -> Platform:
        return CsvPlatform(CsvPlatform.Options(path=str(tmp_path / "out.csv"), columns=COLUMNS), context)


class TestRawCsvPlatform(PlatformConformance):
    """A table for machines: nothing is put in front of a formula."""

    lists = True

    @pytest.fixture
    def platform(self, tmp_path: Path, context: Context) -> Platform:
        options = CsvPlatform.Options(path=str(tmp_path / "out.csv"), columns=COLUMNS, raw=True)
        return CsvPlatform(options, context)


class TestLdifPlatform(PlatformConformance):
    """The accounts as the content of a directory."""

    lists = True

    @pytest.fixture
    def platform(self, tmp_path: Path, context: Context) -> Platform:
        options = LdifPlatform.Options(
            path=str(tmp_path / "out.ldif"),
            dn="uid={uid},ou=people,dc=example,dc=test",
            object_class=("inetOrgPerson",),
            attributes={"uid": "login", "mail": "email", "cn": "display_name", "description": "info"},
        )
        return LdifPlatform(options, context)
