"""Random histories of a directory: after each step, what is read incrementally equals what a full read says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import ldap3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.certificates import Authority
from servers.histories import INETORGPERSONS, STEPS, WITH_GROUPS, Directory, Kind, check
from servers.ldap_source import ad_source, ldap_source
from servers.samba import DISABLED, DOMAIN, ENABLED, MISSING, READER, WATCHER, Samba
from servers.slapd import ADMIN, PASSWORD, PEOPLE, StartSlapd

from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)

Steps: TypeAlias = list[tuple[Any, ...]]

INETORGPERSON = "(&(objectClass=inetOrgPerson)(!(employeeType=left)))"
ACTIVE = Kind(
    rdn="cn",
    login="sAMAccountName",
    person="user",
    there={"userAccountControl": [ENABLED]},
    left={"userAccountControl": [DISABLED]},
    group="group",
)
USER = "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
SELECT = ["sn", "mail", "manager", "dn"]


def histories(
    new: Callable[[], Directory],
    source: Callable[[Directory], LdapSource],
    examples: int,
    steps: st.SearchStrategy[Steps] = STEPS,
) -> Counter[str]:
    """Try so many histories, each in a directory that is ``new``; return how many reads were of which kind."""
    kinds: Counter[str] = Counter()

    @given(steps=steps, each=st.booleans())
    @settings(max_examples=examples, deadline=None)
    def one(steps: Steps, *, each: bool) -> None:
        kinds.update(check(new(), source, steps, each=each))

    one()
    return kinds


@pytest.fixture
def openldap(start_slapd: StartSlapd) -> Iterator[Callable[..., Counter[str]]]:
    """``openldap(strategy, session_log, examples, ...)`` tries histories on an OpenLDAP."""
    with ExitStack() as stack:

        def run(
            strategy: str, session_log: int | None, examples: int, groups: str = "", **more: Any
        ) -> Counter[str]:
            server = start_slapd(session_log=session_log)
            told = ldap3.Server(server.url, get_info=ldap3.NONE)
            admin = stack.enter_context(ldap3.Connection(told, ADMIN, PASSWORD, raise_exceptions=True))

            def source(directory: Directory) -> LdapSource:
                options: dict[str, Any] = {"select": ["uid", *SELECT], "filter": INETORGPERSON}
                if groups:
                    only = [directory.outer] if groups == "only" else []
                    options["select"] = ["uid", "memberOf", "dn"]
                    options["groups"] = {"base": [directory.groups], "only": only}
                return ldap_source(server, base=directory.bases, incremental=strategy, **options)

            return histories(lambda: Directory(admin, PEOPLE, INETORGPERSONS), source, examples, **more)

        yield run


@pytest.mark.parametrize(("strategy", "session_log"), [("sync", 1000), ("sync", 3), ("timestamps", None)])
def test_increments_of_openldap_equal_full_reads(
    openldap: Callable[..., Counter[str]], strategy: str, session_log: int | None
) -> None:
    """At every step of every history; and most of them are read without reading all."""
    kinds = openldap(strategy, session_log, 200)
    assert kinds["incremental"] > kinds["full"], kinds


@pytest.mark.parametrize(
    ("strategy", "groups"), [("sync", "read"), ("timestamps", "read"), ("timestamps", "only")]
)
def test_increments_with_groups_equal_full_reads(
    openldap: Callable[..., Counter[str]], strategy: str, groups: str
) -> None:
    """Also for whoever joins a group, leaves it, or is renamed and so in none any more."""
    kinds = openldap(strategy, 1000, 30, groups, steps=WITH_GROUPS)
    assert min(kinds["incremental"], kinds["full"]) >= 5, kinds


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(
    ("strategy", "who", "examples"), [("usn", WATCHER, 100), ("usn", READER, 15), ("dirsync", WATCHER, 100)]
)
def test_increments_of_a_domain_equal_full_reads(
    tmp_path: Path, authority: Authority, strategy: str, who: str, examples: int
) -> None:
    """The same, where tombstones are shown, where they are not, and by what is replicated.

    In a domain of their own: hundreds are deleted, and every one of them makes a search for changes slower.
    """
    options: dict[str, Any] = {"filter": USER, "incremental": strategy, "who": who}

    def source(directory: Directory) -> LdapSource:
        return ad_source(domain, *directory.bases, select=["sAMAccountName", *SELECT], **options)

    def with_groups(directory: Directory) -> LdapSource:
        only = f"(&{USER}(memberOf={directory.inner}))"
        asked = {"filter": only} if directory.number % 2 else {"select": ["memberOf", "dn"]}
        return ad_source(domain, *directory.bases, **options | asked)

    with Samba(tmp_path / "dc1", authority) as domain:

        def new() -> Directory:
            return Directory(domain.connection, DOMAIN, ACTIVE)

        kinds = histories(new, source, examples)
        assert kinds["incremental"] > kinds["full"], kinds
        if who == WATCHER:
            kinds = histories(new, with_groups, 15, WITH_GROUPS)
            assert min(kinds["incremental"], kinds["full"]) >= 5, kinds
