"""The platform ``ldap`` writes to a real 389 Directory Server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from servers.ds389 import MISSING, WRITER, Ds389
from servers.ldap_platform import ATTRIBUTES, account, done, ldap_platform
from servers.slapd import PASSWORD, free_port

from syncd import Blocked, Gone, Platform, Rejected, Value
from syncd.testing import PlatformConformance
from syncd_ldap.platform import LdapPlatform

pytest_plugins = ("servers.fixtures",)
LIST = {"attribute": "secondary_phones", "many": True}
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def unit(directory_server: Ds389) -> str:
    """The name of a new unit of its own."""
    return directory_server.unit(f"Unit {uuid.uuid4().hex[:12]}")


def platform_389(server: Ds389, unit: str, **options: Any) -> LdapPlatform:
    told = {"base": unit, "bind": {"dn": WRITER, "password": "credential:w"}, "disable": "nsaccountlock"}
    return ldap_platform(server.url, **told | options)


@pytest.fixture
def platform(directory_server: Ds389, unit: str) -> Iterator[LdapPlatform]:
    with closing(platform_389(directory_server, unit)) as platform:
        yield platform


class TestContract(PlatformConformance):
    lists = True
    text_field = "description"

    @pytest.fixture(autouse=True)
    def _remember(self, directory_server: Ds389, unit: str) -> None:
        self.server, self.unit = directory_server, unit

    @pytest.fixture
    def platform(self, directory_server: Ds389, unit: str) -> LdapPlatform:
        return platform_389(directory_server, unit)

    @pytest.fixture
    def unreachable(self) -> LdapPlatform:
        return ldap_platform(f"ldap://127.0.0.1:{free_port()}")

    @pytest.fixture
    def denied(self, directory_server: Ds389, unit: str) -> LdapPlatform:
        return platform_389(directory_server, unit, secret="wrong")

    def stored(self, platform: Platform, remote_id: str) -> Mapping[str, Value] | None:
        found = self.server.values(self.server.named(remote_id, self.unit), "*")
        return {
            name: tuple(sorted(found[name])) if field.many else found[name][0]
            for name, field in platform.fields.items()
            if name in found
        }


def test_an_account_is_known_by_its_unique_id_until_it_is_deleted(
    directory_server: Ds389, unit: str, platform: LdapPlatform
) -> None:
    """Added, renamed, moved by others, changed, deleted."""
    server, there = directory_server, directory_server.unit("there", unit)
    one = done(platform, "add", account(1))
    assert server.anchor(f"uid=u1,{unit}") == one
    done(platform, "update", account(1, uid="other"), one)
    server.rename(f"uid=other,{unit}", "uid=other", there)
    done(platform, "update", account(1, uid="other", sn="New"), one, "sn")
    found = server.values(server.named(one), "uid", "sn")
    assert (f"uid=other,{there}", {"uid": ["other"], "sn": ["New"]}) == (server.named(one), found)
    done(platform, "delete", account(1, uid="other"), one)
    with pytest.raises(Gone):
        done(platform, "update", account(1, uid="other"), one)


def test_who_is_disabled_is_not_let_in(directory_server: Ds389, unit: str, platform: LdapPlatform) -> None:
    one = done(platform, "add", account(1))
    name = f"uid=u1,{unit}"
    directory_server.modify(name, userPassword=PASSWORD)
    felt = [directory_server.lets_in(name)]
    for action, enabled in (("disable", False), ("enable", True)):
        done(platform, action, account(1, enabled=enabled), one)
        felt.append(directory_server.lets_in(name))
    assert [True, False, True] == felt
    assert {} == directory_server.values(name, "nsAccountLock")
    done(platform, "add", account(2, enabled=False))
    assert ["true"] == directory_server.values(f"uid=u2,{unit}", "nsAccountLock")["nsAccountLock"]


@pytest.mark.parametrize(
    ("attributes", "values", "told"),
    [
        ({}, {"cn": ""}, "objectClassViolation at cn (65), it says 'missing attribute"),
        ({}, {"mail": ("ö@x",)}, "invalidAttributeSyntax at mail (21)"),
        ({"homeDirectory": "login"}, {"homeDirectory": "x"}, "objectClassViolation at homeDirectory (65)"),
        (
            {"employeeNumber": LIST},
            {"employeeNumber": ("1", "2")},
            "objectClassViolation at employeeNumber (65)",
        ),
        ({"manager": "login"}, {"manager": "x"}, "invalidAttributeSyntax at manager (21)"),
        ({}, {"uid": "jörg"}, "constraintViolation (19), it says 'The value is not 7-bit clean: jörg'"),
    ],
)
def test_what_the_schema_refuses_is_rejected_and_names_the_attribute(
    directory_server: Ds389, unit: str, attributes: dict[str, Any], values: dict[str, Value], told: str
) -> None:
    """By the last one the server itself names only the value."""
    platform = platform_389(directory_server, unit, attributes=ATTRIBUTES | attributes)
    with closing(platform), pytest.raises(Rejected) as caught:
        done(platform, "add", account(1, **values))
    assert told in str(caught.value)


def test_a_value_that_has_to_be_unique_is_rejected_and_names_the_attribute(
    directory_server: Ds389, unit: str, platform: LdapPlatform
) -> None:
    plugin = "cn=attribute uniqueness,cn=plugins,cn=config"
    directory_server.modify("cn=config", nsslapd_dynamic_plugins="on")
    unique = {"uniqueness_attribute_name": "description", "uniqueness_subtrees": unit}
    directory_server.modify(plugin, nsslapd_pluginenabled="on", **unique)
    done(platform, "add", account(1, description="same"))
    with pytest.raises(Rejected, match=r"constraintViolation at description \(19\), it says 'Another entry"):
        done(platform, "add", account(2, description="same"))


def test_an_entry_that_others_stand_below_waits(
    directory_server: Ds389, unit: str, platform: LdapPlatform
) -> None:
    one = done(platform, "add", account(1))
    phone = directory_server.add(f"cn=phone,uid=u1,{unit}", "device")
    with pytest.raises(Blocked) as caught:
        done(platform, "delete", account(1), one)
    assert [phone] == [*caught.value.references]


def test_memberships_follow_a_person_who_is_renamed(directory_server: Ds389, unit: str) -> None:
    """The server does not do that itself without its plugin for referential integrity."""
    groups = directory_server.unit("groups", unit)
    for name in ("desk", "floor"):
        directory_server.add(f"cn={name},{groups}", "groupOfNames")
    with closing(platform_389(directory_server, unit, groups={"base": groups})) as platform:
        one = done(platform, "add", account(1, memberships=("desk",)))
        done(platform, "update", account(1, uid="other", memberships=("desk", "floor")), one)
    members = [directory_server.values(f"cn={name},{groups}", "member") for name in ("desk", "floor")]
    assert [{"member": [f"uid=other,{unit}"]}] * 2 == members
