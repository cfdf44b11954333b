"""What Active Directory sends in part: lists by ranges, and people in a global catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.liar import entry

from syncd import Denied, Entry, Problem, Unavailable
from syncd.testing import RecordingLog
from syncd_ldap import catalogue
from syncd_ldap.entries import Shape
from syncd_ldap.ranges import Rest
from syncd_ldap.wire import children, element

GUID = bytes(range(16))
NAME = "CN=ann,DC=example,DC=test"


class Server:
    """Stands for a session: answers ``attribute;range=N-*`` by the ranges that it was given."""

    def __init__(self, ranges: Mapping[int, dict[str, list[bytes]]], error: Exception | None = None) -> None:
        self.ranges = ranges
        self.error = error
        self.asked: list[tuple[str, ...]] = []

    def search(self, base: str, text: str, scope: str, *names: str) -> list[dict[str, list[bytes]]]:
        self.asked.append((base, scope, *names))
        if self.error is not None:
            raise self.error
        begin = int(names[0].partition("=")[2].removesuffix("-*"))
        return [self.ranges[begin]] if begin in self.ranges else []

    def close(self) -> None: ...


def read(
    attributes: Mapping[str, list[bytes]], server: Server, *select: str
) -> tuple[Entry | Problem, list[Any]]:
    """Return what becomes of an entry with these attributes, and what is logged."""
    shape = Shape(select or ["memberOf"], "objectGUID")
    message = entry(1, NAME, {"objectGUID": [GUID], **attributes})
    (_, raw) = children(children(message)[0][1])[1]
    log = RecordingLog()
    rest = Rest(lambda: server, log)  # type: ignore[arg-type,return-value]
    (found,) = rest.completed(shape.entries([element(0x64, raw)]))
    rest.close()
    return found, log.lines


def ranged(begin: int, values: list[bytes], *, last: bool, name: str = "memberOf") -> dict[str, list[bytes]]:
    return {f"{name};range={begin}-{'*' if last else begin + len(values) - 1}": values}


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    spelling=st.sampled_from(["memberOf", "MemberOF"]),
)
def test_a_list_is_whole_however_it_is_cut(sizes: list[int], spelling: str) -> None:
    begins = [sum(sizes[:place]) for place in range(len(sizes))]
    values = [b"CN=group %d" % number for number in range(sum(sizes))]
    parts = {
        begin: ranged(begin, values[begin : begin + size], last=begin + size == len(values), name=spelling)
        for begin, size in zip(begins, sizes, strict=True)
    }
    server = Server(parts)
    found, logged = read({"memberOf": [], **parts[0]}, server)
    assert isinstance(found, Entry)
    assert tuple(value.decode() for value in values) == found.attributes["memberOf"]
    assert (frozenset(), []) == (found.unknown, logged)
    assert [(NAME, "base", f"{spelling};range={begin}-*") for begin in begins[1:]] == server.asked


@pytest.mark.parametrize(
    "ranges",
    [
        {},
        {2: {}},
        {2: {"memberOf": [b"c"]}},
        {2: {"memberOf;range=2-*": []}},
        {2: {"memberOf;range=3-*": [b"d"]}},
        {2: {"memberOf;range=1-*": [b"b", b"c"]}},
        {2: {"memberOf;range=2-3": [b"c"]}, 3: {}},
        {2: {"memberOf;range=x-*": [b"c"]}},
    ],
)
def test_a_list_with_a_gap_is_unknown(ranges: dict[int, dict[str, list[bytes]]]) -> None:
    found, logged = read(
        {"memberOf": [], "memberOf;range=0-1": [b"a", b"b"], "mail": [b"m"]},
        Server(ranges),
        "memberOf",
        "mail",
    )
    assert isinstance(found, Entry)
    assert (frozenset({"memberOf"}), ("m",)) == (found.unknown, found.attributes["mail"])
    assert ["list_not_read_whole"] == [event for _, event, _ in logged]


def test_a_list_that_does_not_begin_at_its_beginning_is_unknown() -> None:
    found, _ = read({"memberOf;range=1-*": [b"b"]}, Server({}))
    assert frozenset({"memberOf"}) == found.unknown  # type: ignore[union-attr]


def test_a_refusal_makes_the_list_unknown_and_a_failure_ends_the_read() -> None:
    first = {"memberOf;range=0-0": [b"a"]}
    found, _ = read(first, Server({}, Denied("no such object")))
    assert frozenset({"memberOf"}) == found.unknown  # type: ignore[union-attr]
    with pytest.raises(Unavailable):
        read(first, Server({}, Unavailable("the server hung up")))


def test_what_is_no_text_stays_unknown() -> None:
    found, _ = read({"memberOf;range=0-0": [b"a"]}, Server({1: ranged(1, [b"\xff"], last=True)}))
    assert frozenset({"memberOf"}) == found.unknown  # type: ignore[union-attr]


def test_a_value_that_looks_like_a_range_is_a_value() -> None:
    found, _ = read({"info": [b"member;range=0-1499"]}, Server({}), "info")
    assert {"info": ("member;range=0-1499",)} == found.attributes  # type: ignore[union-attr]


def test_a_list_that_was_not_asked_for_is_left_alone() -> None:
    found, _ = read({"member;range=0-0": [b"a"]}, Server({1: ranged(1, [b"b"], last=True, name="member")}))
    assert ({}, frozenset()) == (found.attributes, found.unknown)  # type: ignore[union-attr]


@given(
    st.lists(st.binary(max_size=3), min_size=2, max_size=4),
    st.lists(st.binary(max_size=3), min_size=2, max_size=4),
)
def test_two_lists_that_differ_have_two_fingerprints(one: list[bytes], other: list[bytes]) -> None:
    prints = [
        read({"memberOf;range=0-0": [b"a"]}, Server({1: ranged(1, values, last=True)}))[0].fingerprint  # type: ignore[union-attr]
        for values in (one, other)
    ]
    assert (one == other) == (prints[0] == prints[1])


# --- the global catalogue


class Schema(Server):
    """Stands for a session whose schema says what is in the partial set."""

    def search(self, base: str, text: str, scope: str, *names: str) -> list[dict[str, list[bytes]]]:
        if not base:
            return [{"schemaNamingContext": [b"CN=Schema,DC=example,DC=test"]}] if self.ranges == {} else [{}]
        self.asked.append((base, text, scope, *names))
        if self.error is not None:
            raise self.error
        return [{"lDAPDisplayName": [b"Mail"]}, {"lDAPDisplayName": [b"member"]}]


def test_the_schema_is_asked_once_and_for_what_is_mapped_only() -> None:
    schema = Schema({})
    names = ["mail", "Info", "title;lang-de", "member", "dn"]
    assert {"Info", "title;lang-de", "member"} == catalogue.outside(schema, names)  # type: ignore[arg-type]
    text = "(|(lDAPDisplayName=info)(lDAPDisplayName=mail)(lDAPDisplayName=member)(lDAPDisplayName=title))"
    whole = f"(&(objectClass=attributeSchema)(isMemberOfPartialAttributeSet=TRUE){text})"
    assert [("CN=Schema,DC=example,DC=test", whole, "one", "lDAPDisplayName")] == schema.asked


@pytest.mark.parametrize("schema", [Schema({}, Denied("no right")), Schema({0: {}})])
def test_where_the_schema_cannot_be_read_every_blank_is_unknown(schema: Schema) -> None:
    assert {"mail", "info"} == catalogue.outside(schema, ["mail", "info", "dn"])  # type: ignore[arg-type]
    shape = Shape(["mail", "info"], "objectGUID")
    (_, raw) = children(children(entry(1, NAME, {"objectGUID": [GUID], "mail": [b"m"]}))[0][1])[1]
    found = [*shape.entries([element(0x64, raw)]), Problem(None, "code", "message")]
    (one, _) = catalogue.unknown_blanks(found, frozenset({"mail", "info"}))
    assert ({"mail": ("m",)}, frozenset({"info"})) == (one.attributes, one.unknown)  # type: ignore[union-attr]


def test_without_attributes_nothing_is_asked() -> None:
    schema = Schema({})
    assert (frozenset(), []) == (catalogue.outside(schema, ["dn"]), schema.asked)  # type: ignore[arg-type]
