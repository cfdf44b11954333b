"""The platform and the source ``mivoice`` keep the contract, over real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd import Context, Platform, Source
from syncd.testing import PlatformConformance, SourceConformance
from syncd_pbx.misource import MivoiceSource
from syncd_pbx.mivoice import MivoicePlatform

DN = "CN={sAMAccountName},OU=users,DC=acme,DC=example"


def made(folder: Path, context: Context, **options: object) -> MivoicePlatform:
    settings = {"path": str(folder), "product": "business", **options}
    return MivoicePlatform(MivoicePlatform.Options.model_validate(settings), context)


class TestCsvAndLdif(PlatformConformance):
    """New users as CSV, the rest as LDIF."""

    lists = True
    text_field = "First Name"

    @pytest.fixture
    def platform(self, tmp_path: Path, context: Context) -> Platform:
        return made(tmp_path, context, dn=DN)

    @pytest.fixture
    def unreachable(self, tmp_path: Path, context: Context) -> Platform:
        return made(tmp_path / "none", context, dn=DN)


class TestLdif(TestCsvAndLdif):
    """Everything as LDIF."""

    @pytest.fixture
    def platform(self, tmp_path: Path, context: Context) -> Platform:
        return made(tmp_path, context, dn=DN, format="ldif")


class TestFirstImport(TestCsvAndLdif):
    """New users alone, of whom nobody was collected yet."""

    @pytest.fixture
    def platform(self, tmp_path: Path, context: Context) -> Platform:
        return made(tmp_path, context, product="mx-one")


class Export:
    """The world behind the source: what each person's devices are, exported anew after every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.people = {f"u{number}": [f"{number}00", f"{number}01"] for number in range(5)}
        self.write()

    def write(self) -> None:
        rows = ["Device Type,Directory Number,Login ID", "5330,999,"]
        for place in range(3):  # the devices of one person do not stand side by side
            rows += [
                f"5330,{devices[place]},{who}" for who, devices in self.people.items() if place < len(devices)
            ]
        self.path.write_text("\r\n".join([*rows, f"# end {len(rows) - 1}"]) + "\r\n")

    def add(self) -> str:
        anchor = f"u{len(self.people)}"
        self.people[anchor] = ["700"]
        self.write()
        return anchor

    def change(self, anchor: str) -> None:
        self.people[anchor].append("701")
        self.write()

    def remove(self, anchor: str) -> None:
        del self.people[anchor]
        self.write()


class TestSource(SourceConformance):
    """An export whose last line counts its rows."""

    @pytest.fixture
    def world(self, tmp_path: Path) -> Export:
        return Export(tmp_path / "users.csv")

    @pytest.fixture
    def source(self, world: Export, context: Context) -> Source:
        options = MivoiceSource.Options(path=str(world.path), number="Directory Number", complete="trailer")
        source = MivoiceSource(options, context)
        source.select(["Login ID", "Desk Phone"])
        return source

    @pytest.fixture
    def unreachable(self, tmp_path: Path, context: Context) -> Source:
        return MivoiceSource(MivoiceSource.Options(path=str(tmp_path / "none.csv")), context)


class TestPartialSource(TestSource):
    """The same, with the good rows used where there are bad ones."""

    @pytest.fixture
    def source(self, world: Export, context: Context) -> Source:
        options = MivoiceSource.Options(
            path=str(world.path), number="Directory Number", complete="trailer", partial=True
        )
        return MivoiceSource(options, context)
