"""The platform and the source ``mivoice`` keep the contract, over real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd import Context, Platform
from syncd.testing import PlatformConformance
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
