"""What goes wrong between the platform ``ldap`` and its server: nothing is taken for done, nothing is done twice."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest
from servers.ldap_platform import GROUPS, WRITABLE, account, done, entries, ldap_platform, outcome
from servers.liar import PAGED, ended, entry, message
from servers.liar import done as search_done
from servers.slapd import PEOPLE, StartSlapd
from servers.spoilers import Listener, Proxy

from syncd import ConnectorError, Delivery, Denied, Gone, Outcome, Rejected, Unavailable
from syncd_ldap.platform import LdapPlatform
from syncd_ldap.platformoptions import PERSON
from syncd_ldap.wire import children

pytest_plugins = ("servers.fixtures",)

BIND, SEARCH, MODIFY, ADD, DELETE, RENAME = 0x60, 0x63, 0x66, 0x68, 0x4A, 0x6C
ANSWER = {SEARCH: 0x65, MODIFY: 0x67, ADD: 0x69, DELETE: 0x6B, RENAME: 0x6D}
NOTICE = message(0, ended(52, "going down", tag=0x78))
Script = Callable[[int, int, bytes], bytes]
"""From the number of a message, the kind of its request and the request to what is sent back."""


def fine(number: int, kind: int, code: int = 0, text: str = "") -> bytes:
    return message(number, ended(code, text, tag=ANSWER[kind]))


def usual(number: int, kind: int, request: bytes) -> bytes:
    """Answer like a server where nobody is found by a key, everybody by name, and all writes go well."""
    base = children(request)[0][1].decode() if kind == SEARCH else ""
    if not base.startswith("uid="):
        return fine(number, kind)
    values = {"entryUUID": [base], "uid": [base[4:].partition(",")[0]]}
    return entry(number, base, values) + fine(number, kind)


class Scripted(Listener):
    """A server that a test speaks for. It takes every bind, and names no maker."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[int] = []
        super().__init__()

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError), client.makefile("rb") as stream:
            while head := stream.read(2):
                size = head[1]
                if size >= 0x80:
                    size = int.from_bytes(stream.read(size & 0x7F), "big")
                (_, identifier), (kind, request), *_ = children(stream.read(size))
                number = int.from_bytes(identifier, "big")
                if kind == BIND:
                    client.sendall(message(number, ended(tag=0x61)))
                elif kind == SEARCH and children(request)[1][1] == b"\0" and children(request)[0][1] == b"":
                    client.sendall(
                        entry(number, "", {"objectClass": ["top"]}) + search_done(number, cookie=None)
                    )
                else:
                    self.asked.append(kind)
                    client.sendall(self.script(number, kind, request))


@pytest.fixture
def speak() -> Iterator[Callable[..., LdapPlatform]]:
    """``speak(script, **options)`` returns a platform in front of a scripted server."""
    started: list[Scripted] = []
    made: list[LdapPlatform] = []

    def platform(script: Script, **options: object) -> LdapPlatform:
        started.append(Scripted(script))
        made.append(ldap_platform(started[-1].url, read_timeout=1, **options))
        made[-1].open()
        return made[-1]

    yield platform
    for one in made:
        one.close()
    for server in started:
        server.close()


def adds(platform: LdapPlatform, wanted: int, fed: list[int] | None = None) -> list[Outcome]:
    """Deliver so many adds as the engine does: none is fed after one that was Unavailable or Denied."""
    found: list[Outcome] = []

    def feed() -> Iterable[Delivery]:
        for number in range(wanted):
            if found and isinstance(found[-1].error, Unavailable | Denied):
                return
            if fed is not None:
                fed.append(number)
            yield Delivery(number, "add", 1, None, account(number))

    for one in platform.deliver(feed()):
        found.append(one)  # noqa: PERF402 - the feed looks at what is found so far
    return found


def kinds(found: Iterable[Outcome]) -> list[type[Exception] | None]:
    return [None if one.error is None else type(one.error) for one in found]


def test_answers_may_come_in_any_order(speak) -> None:
    """A server works on several requests at once: what it has first it sends first."""
    held: list[bytes] = []

    def backwards(number: int, kind: int, request: bytes) -> bytes:
        held.append(usual(number, kind, request))
        if len(held) < 8:
            return b""
        answers = b"".join(reversed(held))
        held.clear()
        return answers

    found = adds(speak(backwards, in_flight=8), 32)

    assert [(n, f"uid=u{n},{PEOPLE}") for n in range(32)] == [(one.id, one.remote_id) for one in found]


def test_no_more_is_under_way_than_was_asked_for(speak) -> None:
    """The accounts that a server was asked about and has not answered for are ``in_flight`` at most."""
    fed: list[int] = []
    gate = threading.Event()

    def wait(number: int, kind: int, request: bytes) -> bytes:
        gate.wait(0.02)
        return usual(number, kind, request)

    platform = speak(wait, in_flight=3)
    outcomes = platform.deliver(_counted(fed, 10))
    next(outcomes)

    assert len(fed) <= 4
    gate.set()
    assert 9 == len(list(outcomes))


def _counted(fed: list[int], wanted: int) -> Iterator[Delivery]:
    for number in range(wanted):
        fed.append(number)
        yield Delivery(number, "add", 1, None, account(number))


BREAKS: dict[str, tuple[bytes, str]] = {
    "hangs up": (b"", "the server closed the connection"),
    "says good-bye": (NOTICE, "the server ended the connection: going down"),
    "speaks something else": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "something else than an LDAP message"),
    "answers what nobody asked": (message(9999, ended(tag=0x69)), "which nobody waits for"),
    "answers in another way": (message(0, b"\x61\x00"), "which nobody waits for"),
    "lies about a length": (b"\x30\x84\x7f\xff\xff\xff", "beyond all measure"),
    "cuts a message off": (b"\x30\x03\x02\x01", "the server closed the connection"),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_connection_that_breaks_leaves_what_was_under_way_in_doubt(speak, case: str) -> None:
    """Those who were begun are Unavailable, whoever comes later is not begun, and the next delivery connects anew."""
    bytes_, words = BREAKS[case]
    broken = threading.Event()
    fed: list[int] = []

    def until(number: int, kind: int, request: bytes) -> bytes:
        if len(fed) < 20 or broken.is_set():
            return usual(number, kind, request)
        broken.set()
        raise _Break(bytes_)

    server = _Breaking(until)
    platform = ldap_platform(server.url, read_timeout=2, in_flight=4)
    try:
        found = adds(platform, 100, fed)
        errors = [one.error for one in found if one.error]

        assert list(range(len(fed))) == [one.id for one in found]
        assert 20 <= len(found) <= 24
        assert {Unavailable} == {type(one) for one in errors}
        assert words in str(errors[0])
        assert [None] * 5 == kinds(adds(platform, 5))
    finally:
        platform.close()
        server.close()


class _Break(Exception):
    """What is to be sent last."""


class _Breaking(Scripted):
    def serve(self, client: socket.socket) -> None:
        try:
            super().serve(client)
        except _Break as last:
            with suppress(OSError):
                client.sendall(last.args[0])
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass


def test_who_waits_for_another_of_the_same_key_when_the_connection_breaks_was_not_begun(speak) -> None:
    platform = speak(lambda *_: NOTICE, in_flight=4)
    same = [Delivery(n, "add", 1, None, account(1, key=str(n))) for n in range(3)]
    found = list(platform.deliver(same))

    assert [Unavailable, Unavailable] == kinds(found)
    assert "may have been done" in str(found[0].error)
    assert "nothing was asked" in str(found[1].error)


def test_a_server_that_says_nothing_is_given_up(speak) -> None:
    found = adds(speak(lambda *_: b"", in_flight=4), 10)

    assert [Unavailable] * 4 == kinds(found)
    assert "no answer in time (read_timeout)" in str(found[0].error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (51, Unavailable),
        (52, Unavailable),
        (80, Unavailable),
        (3, Unavailable),
        (50, Denied),
        (10, Denied),
        (65, Rejected),
    ],
)
def test_a_result_of_one_add_is_the_outcome_of_that_add(speak, code: int, kind: type[ConnectorError]) -> None:
    def third(number: int, operation: int, request: bytes) -> bytes:
        refused = operation == ADD and b"uid=u3," in request
        return fine(number, operation, code) if refused else usual(number, operation, request)

    found = list(speak(third).deliver(_counted([], 6)))

    assert [None, None, None, kind, None, None] == kinds(found)


def test_an_account_that_active_directory_does_not_enable_is_there_to_get_a_password(speak) -> None:
    """It refuses to enable an account without one; by then the entry is made, and the next try finds it."""
    there: list[bytes] = []

    def domain(number: int, kind: int, request: bytes) -> bytes:
        if kind == MODIFY:
            return fine(
                number, kind, 53, "0000052D: SvcErr: DSID-031A1261, problem 5003 (WILL_NOT_PERFORM), data 0"
            )
        if kind == ADD:
            there.append(request)
            return fine(number, kind)
        values = {
            "entryUUID": ["x"],
            "uid": ["u1"],
            "userAccountControl": ["514"],
            "objectClass": list(PERSON),
        }
        return (entry(number, f"uid=u1,{PEOPLE}", values) if there else b"") + fine(number, kind)

    platform = speak(domain, disable="ad")
    for _ in range(2):
        found = outcome(platform, "add", account(1))
        assert isinstance(found.error, Rejected)
        assert "Active Directory enables no account without a password: set one there" in str(found.error)

    assert 1 == len(there)
    assert b"514" in there[0]


def test_an_update_of_what_vanishes_meanwhile_is_gone(speak) -> None:
    """Somebody deletes or renames the entry between the look and the change."""

    def vanished(number: int, kind: int, request: bytes) -> bytes:
        if kind == SEARCH:
            found = entry(number, f"uid=u1,{PEOPLE}", {"entryUUID": ["x"], "uid": ["u1"]})
            return found + fine(number, kind)
        return fine(number, kind, 32)

    platform = speak(vanished)

    assert isinstance(outcome(platform, "update", account(1), "x").error, Gone)
    assert isinstance(outcome(platform, "update", account(1, uid="u2"), "x").error, Gone)
    assert outcome(platform, "delete", account(1), "x").error is None


def test_whoever_vanishes_before_the_rename_is_put_into_no_group_again(speak) -> None:
    """Otherwise the next to have that name would be in it."""
    asked: list[int] = []

    def vanished(number: int, kind: int, request: bytes) -> bytes:
        asked.append(kind)
        name = f"cn=sales,{GROUPS}" if b"member" in request else f"uid=u1,{PEOPLE}"
        if kind == SEARCH and RENAME not in asked:
            return entry(number, name, {"entryUUID": ["x"], "uid": ["u1"], "cn": ["sales"]}) + fine(
                number, kind
            )
        return fine(number, kind, 32 if RENAME in asked else 0)

    platform = speak(vanished, anchor="entryUUID", groups={"base": GROUPS})
    asked.clear()

    assert isinstance(outcome(platform, "update", account(1, uid="u2"), "x").error, Gone)
    assert [SEARCH, SEARCH, SEARCH, MODIFY, RENAME, SEARCH] == asked


def test_a_name_that_is_no_name_is_for_a_person_to_mend(speak) -> None:
    """Old servers write quotes, which RFC 4514 knows no more."""

    def quoted(number: int, kind: int, request: bytes) -> bytes:
        return entry(number, f'uid="u, 1",{PEOPLE}', {"entryUUID": ["x"]}) + fine(number, kind)

    found = outcome(speak(quoted), "update", account(1), "x")

    assert isinstance(found.error, Rejected)
    assert "has to be renamed by hand" in str(found.error)


def test_a_search_that_is_cut_short_is_not_an_absence(speak) -> None:
    """A limit that stops the look for the key must not lead to a second entry."""
    for code in (3, 4, 11, 51):
        platform = speak(lambda number, kind, _, code=code: fine(number, kind, code))
        found = outcome(platform, "add", account(1))

        assert isinstance(found.error, Unavailable)
        with pytest.raises(Unavailable):
            platform.find(account(1))


def test_references_are_not_followed(speak) -> None:
    """A server refers to another one: it hears nothing, and what it may have is not ours."""
    with Listener() as stranger:
        reference = b"\x73\x22\x04\x20" + f"ldap://127.0.0.1:{stranger.port}/".encode().ljust(32, b"/")

        def referring(number: int, kind: int, request: bytes) -> bytes:
            more = message(number, reference) if kind == SEARCH else b""
            return more + usual(number, kind, request)

        assert [None] * 3 == kinds(adds(speak(referring), 3))
        assert (0, b"") == (stranger.connections, stranger.received)


def test_paging_is_not_asked_for_in_a_look_at_one_entry(speak) -> None:
    seen: list[bytes] = []

    def noting(number: int, kind: int, request: bytes) -> bytes:
        seen.append(request)
        return usual(number, kind, request)

    adds(speak(noting), 1)

    assert [] == [request for request in seen if PAGED in request]


# With a real server


@pytest.mark.parametrize("how", ["fin", "rst", "hang"])
@pytest.mark.parametrize("after", [700, 3000, 9000])
def test_what_was_cut_off_is_made_good_by_the_next_try(start_slapd: StartSlapd, how: str, after: int) -> None:
    """The answers are lost, not the writes: a second delivery of everybody ends with one entry each."""
    server = start_slapd(access=WRITABLE)
    with Proxy(server.port, how, after) as proxy:  # type: ignore[arg-type]
        cut = ldap_platform(f"ldap://127.0.0.1:{proxy.port}", read_timeout=1)
        first = adds(cut, 60)
        cut.close()
    platform = ldap_platform(server)
    second = adds(platform, 60)

    assert Unavailable in kinds(first)
    assert [None] * 60 == kinds(second)
    assert 60 == len(entries(server, PEOPLE, "1.1")) == len({one.remote_id for one in second})
    assert {one.remote_id for one in first if one.error is None} <= {one.remote_id for one in second}
    platform.close()


def test_a_server_that_is_killed_and_started_again_is_written_to_again(start_slapd: StartSlapd) -> None:
    server = start_slapd(access=WRITABLE)
    platform = ldap_platform(server)
    done(platform, "add", account(0))
    killer = threading.Timer(0.02, lambda: server.stop(signal.SIGKILL))
    killer.start()
    first = adds(platform, 3000)
    killer.join()

    assert Unavailable in kinds(first)
    with pytest.raises(Unavailable, match="Connection refused"):
        list(platform.deliver([Delivery(1, "add", 1, None, account(1))]))
    platform.close()
    server.start()
    again = ldap_platform(server)
    second = adds(again, len(first) + 5)
    again.close()
    assert [None] * len(second) == kinds(second)
    assert len(second) == len(entries(server, PEOPLE, "1.1"))


def test_writes_go_to_the_next_server_once_the_first_is_gone(start_slapd: StartSlapd) -> None:
    """Between deliveries, never in the middle of one."""
    one, two = start_slapd(access=WRITABLE), start_slapd(access=WRITABLE)
    platform = ldap_platform(one, url=[one.url, two.url])
    done(platform, "add", account(1))
    one.stop()
    lost = outcome(platform, "add", account(2))
    done(platform, "add", account(2))
    platform.close()

    assert isinstance(lost.error, Unavailable)
    assert [f"uid=u2,{PEOPLE}"] == list(entries(two, PEOPLE, "1.1"))
