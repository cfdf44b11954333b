"""The source ``ldap`` keeps the contract, over a real slapd and over one that looks like Active Directory."""

from __future__ import annotations

import uuid

import ldap3
import pytest
from servers.ldap_source import BIND, ldap_source
from servers.slapd import PEOPLE, Slapd, StartSlapd, free_port, people, person

from syncd.testing import SourceConformance
from syncd_ldap.cursors import parse
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)


class Directory:
    """The world behind the source: people who are added, changed and removed at the server."""

    def __init__(self, server: Slapd, *, guids: bool) -> None:
        self.server = server
        self.guids = guids
        self.names: dict[str, str] = {}

    def add(self) -> str:
        name, guid = f"new{len(self.names)}", uuid.uuid4()
        user = {"objectClass": ["inetOrgPerson", "user"], "userAccountControl": "512"}
        ad = {**user, "objectGUID": guid.bytes_le} if self.guids else {}
        self.server.add(person(name, **ad))
        anchor = str(guid) if self.guids else self.entry_uuid(name)
        self.names[anchor] = f"uid={name},{PEOPLE}"
        return anchor

    def entry_uuid(self, name: str) -> str:
        connection = ldap3.Connection(ldap3.Server(self.server.url, get_info=ldap3.NONE), auto_bind=True)
        connection.search(PEOPLE, f"(uid={name})", attributes=["entryUUID"])
        found = connection.response[0]["attributes"]["entryUUID"][0]
        connection.unbind()
        return found

    def change(self, anchor: str) -> None:
        value = uuid.uuid4()
        self.server.modify(f"dn: {self.names[anchor]}\nchangetype: modify\nreplace: cn\ncn: {value}\n")

    def remove(self, anchor: str) -> None:
        self.server.delete(self.names[anchor])


class OverSlapd(SourceConformance):
    page = 2
    guids = False

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        return start_slapd(people(5), tls=certificate)

    @pytest.fixture
    def world(self, server: Slapd) -> Directory:
        return Directory(server, guids=self.guids)

    @pytest.fixture
    def source(self, server: Slapd) -> LdapSource:
        return ldap_source(server, bind=BIND, page_size=2)

    @pytest.fixture
    def unreachable(self, server: Slapd) -> LdapSource:
        return ldap_source(server, url=[f"ldaps://localhost:{free_port()}"])

    @pytest.fixture
    def denied(self, server: Slapd) -> LdapSource:
        return ldap_source(server, bind=BIND, secret="wrong")


class TestOpenLdap(OverSlapd):
    """entryUUID, decoded when asked for; every read is full."""


class Incremental(OverSlapd):
    incremental = True
    strategy = "auto"

    @pytest.fixture
    def source(self, server: Slapd) -> LdapSource:
        return ldap_source(server, bind=BIND, page_size=2, incremental=self.strategy)


class TestTimestamps(Incremental):
    """A server without syncprov: modifyTimestamp, and a list of all who are there."""


class TestSessionLog(Incremental):
    """Content synchronization; the server remembers who was removed."""

    strategy = "sync"

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        return start_slapd(people(5), tls=certificate, session_log=100)

    @pytest.fixture
    def stale_cursor(self, server: Slapd, opened: LdapSource) -> str:
        """A cursor from before the session log began: the server lists who is there."""
        *_, end = opened.read(None)
        cursor = parse(end.cursor)
        return cursor._replace(mark={PEOPLE: ["20000101000000.000000Z#000000#000#000000"]}).text()


class TestPresentPhase(TestSessionLog):
    """Content synchronization; the server remembers nobody, and lists who is there."""

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        return start_slapd(people(5), tls=certificate, session_log=0)


class TestActiveDirectory(OverSlapd):
    """objectGUID, disabled accounts, the capability in the root DSE."""

    guids = True

    @pytest.fixture
    def server(self, start_slapd: StartSlapd, certificate) -> Slapd:
        entries = [
            person(
                f"u{number}",
                objectClass=["inetOrgPerson", "user"],
                objectGUID=bytes([number]) * 16,
                userAccountControl=str(512 + number % 2 * 2),
            )
            for number in range(1, 6)
        ]
        return start_slapd(entries, tls=certificate, active_directory=True)
