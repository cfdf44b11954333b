"""The platform ``ldap`` keeps the contract, over a real slapd and over one that looks like Active Directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from servers.ldap_platform import FORMER, GROUPS, PPOLICY, UNITS, WRITABLE, entries, ldap_platform
from servers.slapd import PEOPLE, Slapd, StartSlapd, free_port, record

from syncd import Platform, Value
from syncd.testing import PlatformConformance
from syncd_ldap.platform import LdapPlatform

pytest_plugins = ("servers.fixtures",)


class OverSlapd(PlatformConformance):
    lists = True
    text_field = "description"
    options: ClassVar[Mapping[str, Any]] = {}
    lines: ClassVar[list[str]] = []

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        return start_slapd(UNITS, tls=certificate, access=WRITABLE, lines=self.lines)

    @pytest.fixture
    def platform(self, server: Slapd) -> LdapPlatform:
        return ldap_platform(server, **self.options)

    @pytest.fixture
    def unreachable(self, server: Slapd) -> LdapPlatform:
        return ldap_platform(server, url=[f"ldaps://localhost:{free_port()}"])

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

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        return start_slapd(
            UNITS,
            tls=certificate,
            access=WRITABLE,
            lines=PPOLICY,
            limits=["limits * size=unlimited", "overlay ppolicy"],
        )


class TestWithGroups(OverSlapd):
    """The same, with memberships: the groups are made as they are needed."""

    options: ClassVar = {"groups": {"base": GROUPS, "create": True}}

    def values(self, platform: Platform, number: int) -> dict[str, Value]:
        return {**super().values(platform, number), "memberships": ("everybody", f"desk {number}")}

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        groups = [
            record(f"cn={name},{GROUPS}", objectClass="groupOfNames", cn=name, member=f"cn=nobody,{GROUPS}")
            for name in ("everybody", *(f"desk {number}" for number in range(1, 10)))
        ]
        return start_slapd([*UNITS, *groups], tls=certificate, access=WRITABLE)


class TestActiveDirectory(OverSlapd):
    """objectGUID cannot be made by slapd: here entries are known by their names, and a bit disables them."""

    options: ClassVar = {
        "disable": "ad",
        "anchor": "dn",
        "object_classes": ["top", "person", "organizationalPerson", "inetOrgPerson", "user"],
    }

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        return start_slapd(UNITS, tls=certificate, access=WRITABLE, active_directory=True)
