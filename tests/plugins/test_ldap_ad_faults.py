"""What goes wrong while changes of a real domain are read: no checkpoint, and the next read is complete."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from servers.ldap_source import ad_source
from servers.samba import READER, WATCHER, Samba
from servers.spoilers import Falsifier, How, Proxy

from syncd import Checkpoint, CursorExpired, Denied, Unavailable
from syncd.testing.conformance.sources import Seen, applied
from syncd_ldap.source import LdapSource

pytest_plugins = ("servers.fixtures",)


class Story(NamedTuple):
    """A source that was read once, and what a read from its cursor has to make of who was known then."""

    domain: Samba
    base: str
    strategy: str
    who: str
    cursor: str
    known: dict[str, Seen]
    now: dict[str, Seen]

    def source(self, port: int | None = None) -> LdapSource:
        """Return the source, over a proxy on this port if one is given."""
        url = f"ldaps://127.0.0.1:{port}" if port else self.domain.ldaps_url
        options = {"incremental": self.strategy, "page_size": 10, "read_timeout": 1}
        return ad_source(self.domain, self.base, who=self.who, url=url, **options)

    def read(self, port: int | None = None) -> dict[str, Seen]:
        """Read from the cursor; return who is known then."""
        return applied(self.known, self.source(port).read(self.cursor))


@pytest.fixture(
    params=[("usn", WATCHER), ("usn", READER), ("dirsync", WATCHER)], ids=["usn", "usn, a list", "dirsync"]
)
def story(request: pytest.FixtureRequest, domain: Samba, unit: str) -> Story:
    """Thirty people, of whom ten change, one goes and one is new."""
    strategy, who = request.param
    out = domain.unit("Out", unit)
    people = domain.unit("People", unit)
    names = domain.add_all(
        people, [f"p{number}.z" for number in range(30)], manager=domain.user("boss.z", out)
    )
    source = ad_source(domain, people, who=who, incremental=strategy)
    items = list(source.read(None))
    assert isinstance(items[-1], Checkpoint)
    assert items[-1].cursor
    for name in names[:10]:
        domain.modify(name, sn="Changed")
    domain.delete(names[10])
    domain.user("new.z", people)
    now = applied({}, source.read(None))
    return Story(domain, people, strategy, who, items[-1].cursor, applied({}, items), now)


@pytest.mark.parametrize("how", ["fin", "rst", "hang"])
def test_wherever_an_incremental_read_is_cut_there_is_no_checkpoint(story: Story, how: How) -> None:
    """From the first byte that the controller sends over TLS to the last ones; it goes on from the same cursor."""
    with Proxy(636, host=story.domain.address) as proxy:
        assert story.now == story.read(proxy.port)
        length = proxy.sent
    places = 10 if how != "hang" else 3
    for after in (*(1 + length * place // places for place in range(places)), length - 40):
        with Proxy(636, how, after, story.domain.address) as proxy, pytest.raises(Unavailable):
            story.read(proxy.port)
    assert story.now == story.read()


@pytest.mark.parametrize("code", [3, 4], ids=["time", "size"])
def test_whichever_search_is_cut_short_by_a_limit_the_read_is_whole_or_fails(story: Story, code: int) -> None:
    """A limit that is reached after what was asked for has come is none."""
    certificate = story.domain.authority.sign("falsifier", "IP:127.0.0.1")
    with Falsifier(story.domain.address, certificate) as proxy:
        assert story.now == story.read(proxy.port)
        searches = proxy.results
    torn = 0
    for number in range(searches):
        with Falsifier(story.domain.address, certificate, code, number) as proxy:
            try:
                assert story.now == story.read(proxy.port)
            except (Unavailable, Denied, CursorExpired):
                torn += 1
    assert searches - torn <= 1, f"{torn} of {searches}"
    assert story.now == story.read()
