"""Random histories of two real directories: at every step each account is a plain fold of what both say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import ldap3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_world import Site, check_books, plugins, quiet  # noqa: F401
from servers.slapd import ADMIN, PASSWORD, PEOPLE, StartSlapd

from syncd.pipeline.installation import Line, line_of
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)

WORDS = {"phone": "telephoneNumber", "title": "title"}
SOURCES = {"hr": {}, "phones": {"owns": False}}
WHO = st.sampled_from(["ann", "ann", "ann", "bob"])
VALUES = st.fixed_dictionaries({}, optional=dict.fromkeys(WORDS, st.sampled_from(["1", "2"])))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(sorted(SOURCES)), WHO, VALUES),
        st.tuples(st.just("leave"), st.sampled_from(sorted(SOURCES)), WHO),
        st.tuples(st.just("return"), st.sampled_from(sorted(SOURCES)), WHO),
        st.just(("read",)),
    ),
    min_size=20,
    max_size=30,
)
_NUMBERS = count()


class Directory:
    """A unit of its own in a server: who is there and what is said of them. ``news`` was not read yet."""

    def __init__(self, url: str, connection: ldap3.Connection) -> None:
        self.url, self.connection = url, connection
        self.base = f"ou=h{next(_NUMBERS)},{PEOPLE}"
        self.connection.add(self.base, "organizationalUnit")
        self.people: dict[str, dict[str, str]] = {}
        self.news: set[str] = set()
        for who in ("rock", "ann"):  # a source that is empty would be held
            self.say(who, {"phone": "1", "title": "1"})

    def say(self, who: str, values: dict[str, str]) -> None:
        told = {WORDS[name]: value for name, value in values.items()}
        dn = f"uid={who},{self.base}"
        if who in self.people:
            changes = {
                name: [(ldap3.MODIFY_REPLACE, [told[name]] if name in told else [])]
                for name in WORDS.values()
            }
            self.connection.modify(dn, changes)
        else:
            self.connection.add(dn, "inetOrgPerson", {"cn": who, "sn": who, **told})
        self.people[who] = values
        self.news.add(who)

    def leave(self, who: str) -> None:
        if self.people.pop(who, None) is not None:
            self.connection.delete(f"uid={who},{self.base}")
            self.news.add(who)


class Layer:
    """What one source said last of one person, and at which step it was gone."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.gone: int | None = None


class Model:
    """What syncd is to say, by two dictionaries: HR owns, the phone book adds to whom there is."""

    def __init__(self, first: str) -> None:
        self.layers: dict[str, dict[str, Layer]] = {name: {} for name in SOURCES}
        self.second = "phones" if first == "hr" else "hr"

    def read(self, source: str, directory: Directory, step: int, *, full: bool) -> None:
        layers = self.layers[source]
        for who in {*directory.people, *layers} if full else directory.news:
            if who in directory.people and (source == "hr" or who in self.layers["hr"]):
                layers[who] = Layer(directory.people[who])
            elif who in layers and who not in directory.people and layers[who].gone is None:
                layers[who].gone = step
        directory.news.clear()

    def says(self, who: str) -> dict[str, Any]:
        own, other = self.layers["hr"][who], self.layers["phones"].get(who)
        heard = {"hr": own.values}
        # A leaver keeps what was said of them when they left.
        if other is not None and (other.gone is None or (own.gone is not None and other.gone >= own.gone)):
            heard["phones"] = other.values
        (first,) = {"hr", "phones"} - {self.second}
        return {
            **heard.get(self.second, {}),
            **heard.get(first, {}),
            "login": who,
            "active": own.gone is None,
        }

    def accounts(self) -> dict[str, dict[str, Any]]:
        return {who: self.says(who) for who in self.layers["hr"]}


class Directories(Site):
    """An installation whose sources are real ones."""

    def line(self, name: str = "hq") -> Line:
        return line_of(self.here, name)

    def accounts(self) -> dict[str, dict[str, Any]]:
        people = self.people().values()
        return {one.attributes["login"]: {**one.attributes, "active": one.active} for one in people}


def site_over(directories: dict[str, Directory], order: list[str]) -> Directories:
    sources = {
        name: {
            **SOURCES[name],
            "type": "ldap",
            "url": [directories[name].url],
            "tls": "none",
            "base": [directories[name].base],
            "filter": "(objectClass=inetOrgPerson)",
            "map": {"login": "uid", **WORDS},
        }
        for name in order
    }
    return Directories(**sources)


@pytest.fixture
def new(
    start_slapd: StartSlapd, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], dict[str, Directory]]]:
    """``new()`` makes an empty directory of each source, each in a server of its own."""
    monkeypatch.setitem(plugins().sources, "ldap", LdapSource)
    with ExitStack() as stack:
        servers = {}
        for name in SOURCES:
            url = start_slapd(session_log=1000).url
            admin = ldap3.Connection(
                ldap3.Server(url, get_info=ldap3.NONE), ADMIN, PASSWORD, auto_bind=True, raise_exceptions=True
            )
            stack.callback(admin.unbind)
            servers[name] = url, admin
        yield lambda: {name: Directory(*server) for name, server in servers.items()}


def test_at_every_step_each_account_is_a_fold_of_both(new: Callable[[], dict[str, Directory]]) -> None:
    modes = set()

    @settings(max_examples=6, deadline=None)
    @given(STEPS, st.permutations(sorted(SOURCES)))
    def history(steps: list[tuple[Any, ...]], order: list[str]) -> None:
        directories, model = new(), Model(order[0])
        site = site_over(directories, order)
        for number, (what, *given_) in enumerate([("read",), *steps, ("read",)]):
            if what == "say":
                source, who, values = given_
                directories[source].say(who, values)
            elif what != "read":
                source, who = given_
                directories[source].leave(who)
                if what == "return":
                    directories[source].say(who, {})
            for name, directory in directories.items():
                run = site.sync(name, full=what == "read")
                modes.add(run.mode)
                model.read(name, directory, number, full=run.mode == "full")
                assert model.accounts() == site.accounts()
                check_books(site)
        assert [[], []] == [site.operations(site.sync(name, full=True)) for name in SOURCES]
        site.database.close()

    history()
    assert {"full", "incremental"} == modes
