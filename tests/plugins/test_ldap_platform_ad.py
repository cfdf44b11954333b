"""The platform ``ldap`` over a real domain controller of Active Directory (Samba's)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers.ldap_platform import done, ldap_platform, outcome
from servers.samba import ADMIN, Samba
from servers.slapd import free_port

from syncd import Account, Delivery, Field, Gone, Rejected, Value
from syncd.testing import PlatformConformance
from syncd_ldap.platform import LdapPlatform

pytest_plugins = ("servers.fixtures",)

OPTIONS = {
    "bind": {"dn": ADMIN, "password": "credential:dc"},
    "object_classes": ["top", "person", "organizationalPerson", "user"],
    "rdn": "cn",
    "key": ["sAMAccountName"],
    "attributes": {
        "cn": "display_name",
        "sAMAccountName": {"attribute": "login", "limit": 20},
        "sn": "last_name",
        "otherTelephone": {"attribute": "secondary_phones", "many": True},
        "description": "description",
    },
    "disable": "ad",
}


@pytest.fixture
def make(domain: Samba, unit: str) -> Iterator[Callable[..., LdapPlatform]]:
    """``make(**options)`` returns one more platform, over a unit of this test's own."""
    made: list[LdapPlatform] = []

    def platform(**options: Any) -> LdapPlatform:
        told = OPTIONS | {"base": unit, "ca_file": domain.authority.path} | options
        made.append(ldap_platform(domain.ldaps_url, **told))
        return made[-1]

    yield platform
    for one in made:
        one.close()


@pytest.fixture
def login(unit: str) -> str:
    """A logon name that nobody else in the domain has."""
    return f"p{unit[8:20]}"


def person(login: str, *, enabled: bool = False, **fields: Value) -> Account:
    return Account("1", "user", enabled, {"cn": "Anna", "sAMAccountName": login, "sn": "Meier", **fields})


def read(domain: Samba, unit: str, *names: str) -> dict[str, dict[str, list[str]]]:
    """Return people below a unit, by their names."""
    domain.connection.search(unit, "(objectClass=user)", attributes=list(names))
    return {
        one["dn"]: {name: [text.decode() for text in texts] for name, texts in one["raw_attributes"].items()}
        for one in domain.connection.response
        if one["type"] == "searchResEntry"
    }


class TestActiveDirectory(PlatformConformance):
    """objectGUID, the bit of userAccountControl, and rules of its own on every attribute."""

    lists = True
    text_field = "description"

    @pytest.fixture
    def platform(self, make: Callable[..., LdapPlatform], login: str) -> LdapPlatform:
        self.login = login
        return make()

    @pytest.fixture
    def unreachable(self) -> LdapPlatform:
        return ldap_platform(f"ldap://127.0.0.1:{free_port()}")

    @pytest.fixture
    def denied(self, make: Callable[..., LdapPlatform]) -> LdapPlatform:
        return make(secret="wrong")

    def values(self, platform: LdapPlatform, number: int) -> dict[str, Value]:
        return {**super().values(platform, number), "sAMAccountName": f"{self.login}-{number}"}


def test_everybody_is_added_disabled_before_being_enabled(domain: Samba, unit: str, make, login: str) -> None:
    """In the domain of the tests nobody needs a password; others refuse the second step."""
    platform = make()
    one = person(login, enabled=True)
    remote_id = done(platform, "add", one)
    found = {f"CN=Anna,{unit}": {"userAccountControl": ["512"]}}

    assert found == read(domain, unit, "userAccountControl")
    assert remote_id == domain.guid(f"CN=Anna,{unit}")
    assert [(remote_id, platform.fingerprint(one))] == list(platform.list())


def test_memberships_follow_a_rename_by_themselves(domain: Samba, unit: str, make, login: str) -> None:
    sales = domain.group(f"s{login}", unit)
    platform = make(groups={"base": unit})
    remote_id = done(platform, "add", person(login, memberships=(f"S{login}",)))
    renamed = person(login, cn='Zoë, "1" = #', memberships=(f"s{login}",))
    done(platform, "update", renamed, remote_id, "cn")
    ((_, values),) = read(domain, unit, "memberOf").items()

    assert [sales] == values["memberOf"]
    assert [(remote_id, platform.fingerprint(renamed))] == list(platform.list())
    done(platform, "delete", renamed, remote_id)
    assert {} == read(domain, unit)


def test_names_and_logon_names_are_exchanged(domain: Samba, unit: str, make, login: str) -> None:
    """Both are unique, the latter in the whole domain."""
    platform = make()
    ids = [done(platform, "add", person(f"{login}{n}", cn=f"Anna {n}")) for n in range(3)]
    for field, now in (
        ("cn", [person(f"{login}{n}", cn=f"Anna {(n + 1) % 3}") for n in range(3)]),
        ("sAMAccountName", [person(f"{login}{n}", cn=f"Anna {n}") for n in (1, 2, 0)]),
        ("cn sAMAccountName", [person(f"{login}{n}", cn=f"Anna {n}") for n in (2, 0, 1)]),
    ):
        deliveries = (
            Delivery(n, "update", 1, ids[n], one, frozenset(field.split())) for n, one in enumerate(now)
        )
        assert [None] * 3 == [one.error for one in platform.deliver(deliveries)]
    found = read(domain, unit, "sAMAccountName")

    names = {domain.guid(dn): (dn, values["sAMAccountName"]) for dn, values in found.items()}
    assert {ids[n]: (f"CN=Anna {(n + 2) % 3},{unit}", [f"{login}{(n + 2) % 3}"]) for n in range(3)} == names


def test_disabled_people_can_be_moved_to_another_unit(domain: Samba, unit: str, make, login: str) -> None:
    former = domain.unit("Former", unit)
    platform = make(disable={"base": former})
    remote_id = done(platform, "add", person(login, enabled=True))
    for enabled, place in ((False, former), (True, unit)):
        done(platform, "enable" if enabled else "disable", person(login, enabled=enabled), remote_id)
        assert [f"CN=Anna,{place}"] == list(read(domain, unit))


REFUSED = {
    "size": ({"sn": "x" * 65}, "invalidAttributeSyntax at sn (21)"),
    "single": ({"info": ("1", "2")}, "at info ("),
    "unknown": ({"badge": "x"}, "at badge ("),
    "logon name": ({"sAMAccountName": "a/b"}, "constraintViolation (19), it says"),
    "name": ({"cn": "x" * 65}, "invalidAttributeSyntax at cn (21)"),
    "taken": (
        {"sAMAccountName": "Administrator"},
        "(where nobody has the account's sAMAccountName): entryAlready",
    ),
    "NUL": ({"description": "a\0b"}, "description holds a NUL"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_its_own_rules_come_back_with_the_attribute(
    domain: Samba, unit: str, make, login: str, case: str
) -> None:
    fields, words = REFUSED[case]
    more = {"info": {"attribute": "info", "many": True}, "badge": "info2"}
    found = outcome(make(attributes=OPTIONS["attributes"] | more), "add", person(login, **fields))

    assert isinstance(found.error, Rejected)
    assert words in str(found.error)
    assert {} == read(domain, unit)


@pytest.mark.parametrize(
    "text", [",", "+", '"', "\\", "<", ">", ";", "#", "=", " ", "#a", "a ", "é", "王", "a\nb"]
)
def test_any_text_can_name_a_person(make, login: str, text: str) -> None:
    platform = make()
    one = person(login, cn=text)

    assert [(done(platform, "add", one), platform.fingerprint(one))] == list(platform.list())


def test_who_is_gone_is_gone(make, login: str) -> None:
    """Deleted people stay in the domain as tombstones; they are not found, and not taken for there."""
    platform = make()
    remote_id = done(platform, "add", person(login))
    for _ in range(2):
        done(platform, "delete", person(login), remote_id)

    assert isinstance(outcome(platform, "update", person(login), remote_id).error, Gone)
    assert (None, []) == (platform.find(person(login)), list(platform.list()))


def test_a_check_knows_the_schema(domain: Samba, make) -> None:
    told = "\n".join(make().check())

    assert f"{domain.ldaps_url}: Active Directory" in told
    assert "entries are known by objectGUID" in told
    assert "5 attributes and 4 object classes are in the schema" in told


def test_many_at_once(make, login: str) -> None:
    platform = make()
    wanted = [person(f"{login}{n}", cn=f"Person {n}") for n in range(60)]
    found = list(platform.deliver(Delivery(n, "add", 1, None, one) for n, one in enumerate(wanted)))

    assert [None] * 60 == [one.error for one in found]
    assert {one.remote_id: platform.fingerprint(wanted[one.id]) for one in found} == dict(platform.list())


def test_a_field_may_have_a_limit(make) -> None:
    assert (
        Field("login", "sAMAccountName of the entry", required=True, key=True, limit=20)
        == make().fields["sAMAccountName"]
    )
