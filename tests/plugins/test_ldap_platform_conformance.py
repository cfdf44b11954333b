"""The platform ``ldap`` keeps the contract, over a real slapd and over one that looks like Active Directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from servers.certificates import Certificate
from servers.ldap_platform import (
    FORMER,
    GROUPS,
    LOCK,
    LOCKING,
    PPOLICY,
    UNITS,
    WRITABLE,
    entries,
    group,
    ldap_platform,
)
from servers.slapd import MISSING, PEOPLE, Slapd, free_port

from syncd import Platform, Value
from syncd.testing import PlatformConformance
from syncd_ldap.platform import LdapPlatform
from syncd_ldap.platformoptions import PERSON

pytest_plugins = ("servers.fixtures",)


class OverSlapd(PlatformConformance):
    """One slapd for all tests of a class; everybody is deleted between two of them."""

    lists = True
    text_field = "description"
    options: ClassVar[Mapping[str, Any]] = {}
    directory: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Slapd]:
        if MISSING:
            pytest.skip(MISSING)
        told = {"entries": UNITS, "tls": certificate, "access": WRITABLE} | cls.directory
        with Slapd(tmp_path_factory.mktemp("kit"), **told) as server:
            yield server

    @pytest.fixture
    def server(self, running: Slapd) -> Slapd:
        people = [name for base in (PEOPLE, FORMER) for name in entries(running, base, "1.1")]
        if people:
            running.delete(*people)
        return running

    @pytest.fixture
    def platform(self, server: Slapd) -> LdapPlatform:
        return ldap_platform(server, **self.options)

    @pytest.fixture
    def unreachable(self) -> LdapPlatform:
        return ldap_platform(f"ldap://127.0.0.1:{free_port()}")

    @pytest.fixture
    def denied(self, server: Slapd) -> LdapPlatform:
        return ldap_platform(server, secret="wrong")


class TestByAttribute(OverSlapd):
    """An attribute of the company's own says who is disabled; the entry stands there as it was asked for."""

    @pytest.fixture(autouse=True)
    def _remember(self, server: Slapd) -> None:
        self.server = server

    def stored(self, platform: Platform, remote_id: str) -> Mapping[str, Value] | None:
        everybody = entries(self.server, PEOPLE, "*", "entryUUID")
        (found,) = [values for values in everybody.values() if values["entryUUID"] == [remote_id]]
        return {
            name: tuple(found[name]) if field.many else found[name][0]
            for name, field in platform.fields.items()
            if name in found
        }


class TestByPlace(OverSlapd):
    """Disabled entries are moved."""

    options: ClassVar = {"disable": {"base": FORMER}}


class TestByPolicy(OverSlapd):
    """The permanent lock of OpenLDAP's ppolicy."""

    options: ClassVar = {"disable": "ppolicy"}
    directory: ClassVar = {"entries": [*UNITS, LOCK], "lines": PPOLICY, "limits": LOCKING}


class TestWithGroups(OverSlapd):
    """The same, with memberships."""

    options: ClassVar = {"groups": {"base": GROUPS}}
    directory: ClassVar = {
        "entries": [*UNITS, *(group(name) for name in ("everybody", *(f"desk {n}" for n in range(1, 10))))]
    }

    def values(self, platform: Platform, number: int) -> dict[str, Value]:
        return {**super().values(platform, number), "memberships": ("everybody", f"desk {number}")}


class TestActiveDirectory(OverSlapd):
    """slapd makes no objectGUID: here entries are known by their names, and a bit disables them."""

    options: ClassVar = {"disable": "ad", "anchor": "dn", "object_classes": [*PERSON, "user"]}
    directory: ClassVar = {"active_directory": True}
