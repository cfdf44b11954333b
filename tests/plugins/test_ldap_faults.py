"""Whatever goes wrong in the middle, the source ``ldap`` never takes a part for the whole."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.ldap_source import BIND, drain, ldap_source
from servers.liar import Liar, done, ended, entry, message, text
from servers.slapd import CROWD, PEOPLE, Slapd, StartSlapd, people, person
from servers.spoilers import How, Proxy

from syncd import Checkpoint, ConnectorError, Denied, Entry, Unavailable
from syncd_ldap.wire import element, integer

pytest_plugins = ("servers.fixtures",)

NOTICE = b"1.3.6.1.4.1.1466.20036"


def torn(source) -> tuple[ConnectorError, int]:
    """Return why a read failed, and how many entries came before; it must not reach a checkpoint."""
    entries = 0
    source.open()
    try:
        for item in source.read(None):
            assert not isinstance(item, Checkpoint)
            entries += isinstance(item, Entry)
    except ConnectorError as error:
        return error, entries
    finally:
        source.close()
    raise AssertionError("the read ended without an error and without a checkpoint")


# --- limits of a real server


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("sizelimit size.soft=500 size.hard=500 size.pr=500 size.prtotal=hard", "sizeLimitExceeded (4)"),
        ("sizelimit size.soft=500 size.hard=500 size.pr=500 size.prtotal=700", "sizeLimitExceeded (4)"),
        ("sizelimit size.prtotal=disabled", "adminLimitExceeded (11)"),
    ],
)
def test_a_size_limit_fails_the_read_and_names_page_and_cure(
    start_slapd: StartSlapd, limits: str, expected: str
) -> None:
    """ldap3's own paged search returns 500 of these 2,000, without an error."""
    server = start_slapd(people(CROWD), limits=(), lines=[limits])
    error, entries = torn(ldap_source(server, page_size=250))
    assert Unavailable is type(error)
    assert expected in str(error)
    assert "or lower page_size" in str(error)
    assert f"{server.url}: page " in str(error)
    assert entries < CROWD
    assert "let the bind identity read without limits (OpenLDAP: limits ... size=unlimited" in str(error)


def test_a_size_limit_tears_a_read_without_pages_too(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(CROWD), limits=(), lines=["sizelimit 500"])
    error, entries = torn(ldap_source(server, page_size=0))
    assert (True, 0) == ("sizeLimitExceeded (4)" in str(error), entries)


def test_a_referral_as_the_answer_fails_the_read(start_slapd: StartSlapd) -> None:
    """A base that another server holds: a search ends with code 10 and no entries."""
    server = start_slapd(people(3), lines=["referral ldap://other.example.test"])
    error, entries = torn(ldap_source(server, base=["ou=people,dc=other,dc=test"]))
    assert (Unavailable, 0) == (type(error), entries)
    assert "referral (10); another server holds this; name that one in url" in str(error)


# --- a connection that breaks


def kill(server: Slapd) -> None:
    server.stop(signal.SIGKILL)


@pytest.mark.parametrize("end", [Slapd.stop, kill], ids=["stopped", "killed"])
def test_a_server_that_ends_in_the_middle_fails_the_read(start_slapd: StartSlapd, end) -> None:
    server = start_slapd(person(f"u{number}", description="x" * 4000) for number in range(1000))
    source = ldap_source(server, select=["uid", "description"], page_size=100)
    source.open()
    stream = source.read(None)
    taken = [next(stream) for _ in range(150)]
    end(server)
    with pytest.raises(Unavailable, match=rf"page \d+ of {PEOPLE}, after \d+ entries: "):
        taken += list(stream)
    assert 150 <= len(taken) < 1000
    source.close()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("few"), people(60)) as server:
        yield server


def spoiled(server: Slapd, how: How, after: int, **options):
    proxy = Proxy(server.port, how, after)
    return proxy, ldap_source(f"ldap://127.0.0.1:{proxy.port}", page_size=10, **options)


@pytest.fixture(scope="module")
def length_of_answers(few: Slapd) -> int:
    """How many bytes the server sends for a whole read."""
    proxy, source = spoiled(few, "pass", 0)
    with proxy:
        assert 60 == len(drain(source).entries)
        return proxy.sent


@pytest.mark.parametrize("how", ["fin", "rst", "hang"])
@pytest.mark.parametrize("place", ["first page", "middle", "last page", "last byte"])
def test_a_cut_connection_fails_the_read(few: Slapd, length_of_answers: int, how: How, place: str) -> None:
    after = {
        "first page": 1200,
        "middle": length_of_answers // 2,
        "last page": length_of_answers - 200,
        "last byte": length_of_answers - 1,
    }[place]
    proxy, source = spoiled(few, how, after, read_timeout=1)
    with proxy:
        error, entries = torn(source)
    assert Unavailable is type(error)
    assert entries < 60
    reason = {"fin": "closed the connection", "rst": "reset", "hang": "timed out (read_timeout is 1 s"}[how]
    assert reason in str(error)


@given(share=st.floats(0, 1, exclude_max=True), how=st.sampled_from(["fin", "rst"]))
@settings(max_examples=40, deadline=None)
def test_wherever_the_connection_is_cut_there_is_no_checkpoint(
    few: Slapd, length_of_answers: int, share: float, how: How
) -> None:
    proxy, source = spoiled(few, how, int(share * length_of_answers))
    with proxy, pytest.raises(Unavailable):
        drain(source)


def test_a_server_that_drips_is_stopped_by_the_deadline(few: Slapd) -> None:
    """Each byte comes within read_timeout, and the read would never end."""

    class Drip(Liar):
        def serve(self, client) -> None:
            self.script = lambda number, page: drip(client, number)
            super().serve(client)

    def drip(client, number: int) -> Iterable[bytes]:
        import time

        for index in range(100):
            client.sendall(entry(number, f"uid=u{index}", {"entryUUID": [f"{index}"]}))
            time.sleep(0.05)
        return [done(number)]

    with Drip(lambda number, page: []) as server:
        error, _ = torn(ldap_source(server.url, deadline=1))
    assert "the deadline has passed (read_timeout is 10 s, deadline 1 s)" in str(error)


def test_a_service_that_ends_gives_up_at_the_next_page(few: Slapd) -> None:
    source = ldap_source(few, page_size=10)
    source.open()
    stream = source.read(None)
    next(stream)
    source.context.stopping.set()
    with pytest.raises(Unavailable, match="given up, because the service ends"):
        list(stream)
    source.close()


def test_more_entries_than_max_entries_fail_the_read(few: Slapd) -> None:
    error, entries = torn(ldap_source(few, page_size=10, max_entries=59))
    assert Denied is type(error)
    assert "page 6" in str(error)
    assert "there are more than max_entries = 59; raise it if that many are right" in str(error)
    assert 50 == entries
    assert 60 == len(drain(ldap_source(few, page_size=10, max_entries=60)).entries)


# --- lies that no real server tells


def someone(number: int, index: int) -> bytes:
    return entry(number, f"uid=u{index}", {"uid": [f"u{index}"], "entryUUID": [f"id-{index}"]})


def lie(script, **options) -> tuple[ConnectorError, int]:
    with Liar(script) as server:
        return torn(ldap_source(server.url, read_timeout=2, **options))


LIES = {
    "success without the control": (
        lambda number, page: [someone(number, page), done(number, cookie=b"more" if page < 2 else None)],
        "no paged results control came, so this may not be all; set page_size = 0",
    ),
    "the same page for ever": (
        lambda number, page: [someone(number, 1), done(number, cookie=b"same")],
        "page 2 of .*the server sends the same page again",
    ),
    "the same page under new cookies": (
        lambda number, page: [someone(number, page % 2), done(number, cookie=b"%d" % page)],
        "page 3 of .*the server sends the same page again",
    ),
    "an empty page that leads to itself": (
        lambda number, page: [done(number, cookie=b"same")],
        "page 2 of .*the server sends the same page again",
    ),
    "an entry with another number": (
        lambda number, page: [someone(number + 1, 1), done(number)],
        r"an answer to message \d+, where \d+ was asked",
    ),
    "a result with another number": (
        lambda number, page: [someone(number, 1), done(number - 1)],
        r"an answer to message \d+, where \d+ was asked",
    ),
    "an answer that came twice": (
        lambda number, page: [someone(number, 1), done(number, cookie=b"1"), done(number)],
        r"an answer to message \d+, where \d+ was asked",
    ),
    "a notice of disconnection": (
        lambda number, page: [
            someone(number, 1),
            message(
                0,
                element(0x78, element(0x0A, b"\x34"), text(""), text("shutting down"), element(0x8A, NOTICE)),
            ),
        ],
        "the server ended the connection: shutting down",
    ),
    "the answer to a bind": (
        lambda number, page: [message(number, ended(tag=0x61))],
        "an answer of kind 0x61 to a search",
    ),
    "no LDAP": (
        lambda number, page: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        "something else than an LDAP message",
    ),
    "a message beyond all measure": (
        lambda number, page: [b"\x30\x84\x7f\xff\xff\xff" + bytes(100)],
        "something else than an LDAP message, or one beyond all measure",
    ),
    "a message of nothing": (
        lambda number, page: [b"\x30\x84\x00\x00\x00\x01\x00\x00"],
        "a message that is cut off",
    ),
    "a length without an end": (
        lambda number, page: [b"\x30\x80" + bytes(100)],
        "a length of 0 bytes",
    ),
    "a result that is cut off": (
        lambda number, page: [message(number, element(0x65, element(0x0A, b"\x00")))],
        "a result without its three parts",
    ),
    "a control that is none": (
        lambda number, page: [
            message(
                number,
                ended(),
                element(0x30, text(b"1.2.840.113556.1.4.319"), text(element(0x30, text("cookie")))),
            )
        ],
        "a paged results control without its two parts",
    ),
    "an empty control": (
        lambda number, page: [message(number, ended(), element(0x30, text(b"1.2.840.113556.1.4.319")))],
        "a paged results control without its two parts",
    ),
    "silence": (lambda number, page: [someone(number, 1)], r"timed out \(read_timeout is 2 s"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_fails_the_read(name: str) -> None:
    """Told by a scripted server, because no real one can be brought to it."""
    script, expected = LIES[name]
    error, _ = lie(script)
    assert Unavailable is type(error)
    with pytest.raises(Unavailable, match=expected):
        raise error


@pytest.mark.parametrize("page", [0, 1, 2])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, Unavailable) for code in (1, 2, 3, 4, 10, 11, 51, 52, 53, 54, 80, 118, 120)),
        *((code, Denied) for code in (7, 8, 12, 13, 18, 32, 34, 48, 49, 50)),
    ],
)
def test_every_result_but_success_fails_the_read_on_every_page(
    code: int, kind: type[ConnectorError], page: int
) -> None:
    """Also one that comes with a cookie or a full page: a scripted server says each code."""
    error, entries = lie(
        lambda number, at: [
            someone(number, at),
            done(number, code if at == page else 0, b"%d" % at, diagnostic="so it is"),
        ]
    )
    assert (kind, page) == (type(error), entries)
    assert f"page {page + 1} of {PEOPLE}, after {page + 1} entries: " in str(error)
    assert f"({code}), it says 'so it is'; " in str(error)


def test_active_directory_wants_to_know_who_asks() -> None:
    """Its operationsError to a search by nobody is a matter for a person (a scripted server says it)."""
    said = "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind"
    error, _ = lie(lambda number, page: [done(number, 1, diagnostic=said)])
    assert Denied is type(error)
    assert "configure bind: the server wants to know who asks" in str(error)


def test_the_same_cookie_with_every_page_is_no_lie() -> None:
    """389 Directory Server does so: its cookie is the number of a slot. (A scripted server, like it.)"""
    with Liar(lambda number, page: [someone(number, page), done(number, cookie=b"0" * (page < 4))]) as server:
        assert [f"id-{page}" for page in range(5)] == drain(ldap_source(server.url)).anchors()


def test_an_empty_page_with_a_new_cookie_is_no_lie() -> None:
    """Active Directory sends one when a page's time is up."""
    with Liar(
        lambda number, page: [
            *([someone(number, page)] if page % 2 else []),
            done(number, cookie=b"x" * (5 - page)),
        ]
    ) as server:
        assert ["id-1", "id-3", "id-5"] == drain(ldap_source(server.url)).anchors()


def test_answers_that_are_not_asked_for_but_allowed_are_passed_over() -> None:
    """An intermediateResponse (RFC 4511, 4.13), and numbers in more bytes than are needed."""

    def script(number: int, page: int) -> list[bytes]:
        wide = element(0x02, number.to_bytes(4, "big"))
        plain = someone(number, 1)
        found = element(0x30, wide, plain[plain.index(integer(number)) + len(integer(number)) :])
        return [message(number, element(0x79)), found, done(number)]

    with Liar(script) as server:
        assert ["id-1"] == drain(ldap_source(server.url)).anchors()


def test_an_entry_that_cannot_be_decoded_is_a_problem_without_anchor() -> None:
    broken = element(
        0x64, text("uid=x"), element(0x30, element(0x30, text("uid"), element(0x31, b"\x04\x7fx")))
    )

    def script(number: int, page: int) -> list[bytes]:
        return [message(number, b"\x64\x00"), message(number, broken), someone(number, 1), done(number)]

    with Liar(script) as server:
        read = drain(ldap_source(server.url))
    assert ["id-1"] == read.anchors()
    assert [(None, "malformed")] * 2 == [(problem.anchor, problem.code) for problem in read.problems]
    assert read.problems[0].message.startswith("an entry without a name cannot be decoded: ")
    assert read.problems[1].message.startswith("uid=x cannot be decoded: ")
    assert [Checkpoint(cursor=None, full=True)] == read.checkpoints


def test_a_list_that_was_cut_is_unknown_and_not_shorter() -> None:
    """Active Directory sends member;range=0-1499 for a list of more values (MaxValRange)."""
    attributes = {"uid": ["a"], "memberOf;range=0-1499": ["g1", "g2"], "entryUUID": ["id"]}
    with Liar(lambda number, page: [entry(number, "uid=a", attributes), done(number)]) as server:
        (found,) = drain(ldap_source(server.url, select=["uid", "memberOf"])).entries
    assert ({"uid": ("a",)}, frozenset({"memberOf"})) == (found.attributes, found.unknown)


def test_an_entry_of_many_megabytes_is_read_in_linear_time() -> None:
    """It comes in thousands of pieces; every piece is copied once, or this takes minutes."""
    big = "x" * 20_000_000

    def script(number: int, page: int) -> list[bytes]:
        return [entry(number, "uid=a", {"description": [big], "entryUUID": ["id"]}), done(number)]

    with Liar(script) as server:
        (found,) = drain(ldap_source(server.url, select=["description"])).entries
    assert len(big) == len(found.attributes["description"][0])


def test_a_huge_page_is_handed_on_in_parts() -> None:
    """A server that ignores the page size must not fill the memory with one page."""
    value = "x" * 100_000

    def script(number: int, page: int) -> Iterator[bytes]:
        for index in range(1000):
            yield entry(number, f"uid=u{index}", {"description": [value], "entryUUID": [f"{index}"]})
        yield done(number)

    class Streamer(Liar):
        def serve(self, client) -> None:
            self.script = lambda number, page: [client.sendall(part) or b"" for part in script(number, page)]
            super().serve(client)

    with Streamer(script) as server:
        source = ldap_source(server.url, select=["description"], page_size=0)
        source.open()
        tracemalloc.start()
        count = sum(isinstance(item, Entry) for item in source.read(None))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 1000 == count
    assert peak < 70_000_000 < len(value) * count


def test_bind_and_fault_never_show_the_password(few: Slapd) -> None:
    proxy, source = spoiled(few, "fin", 1500, bind=BIND, allow_plaintext_bind=True)
    with proxy:
        error, _ = torn(source)
    assert source.context.secret("") not in f"{error} {error!r} {source.context.log.lines}"
