"""Messages and entries as bytes: the same as ldap3's decoder makes of them, and safe for any bytes."""

from __future__ import annotations

import math
import uuid

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ldap3 import DEREF_NEVER, SUBTREE
from ldap3.operation.search import search_operation
from ldap3.protocol.rfc2696 import paged_search_control
from ldap3.protocol.rfc4511 import Controls, LDAPMessage, MessageID, ProtocolOp
from ldap3.strategy.base import BaseStrategy
from ldap3.utils.asn1 import decode_message_fast, encode
from servers.liar import done, entry

from syncd import Entry, Problem, Unavailable
from syncd_ldap.adapter import search_request
from syncd_ldap.entries import Shape
from syncd_ldap.reader import Page, Reader, cut
from syncd_ldap.syntaxes import guid, sid
from syncd_ldap.wire import (
    Malformed,
    attributes_of,
    children,
    contents_of,
    element,
    integer,
    length,
    paged_control,
    paged_value,
    search_message,
)

NAMES = st.sampled_from(["uid", "cn", "mail", "description", "userPassword", "mail;lang-de"])
VALUES = st.lists(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), max_size=4)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=6)
ENTRY_UUID = "8aa5bf9e-79cf-1041-87d7-6bef5a39d540"


class Pieces:
    """A socket that hands out bytes in pieces of these sizes, then the end."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data = data
        self.sizes = sizes

    def recv(self, size: int) -> bytes:
        size = min(size, self.sizes.pop() if self.sizes else size)
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def raw_of(message: bytes) -> bytes:
    found: list[bytes] = []
    cut(message, integer(1), found)
    return found[0]


# --- the pin on ldap3


@given(number=st.integers(1, 2**31 - 1), size=st.integers(1, 100_000), cookie=st.binary(max_size=300))
@settings(max_examples=50)
def test_a_request_is_the_one_that_ldap3_would_send(number: int, size: int, cookie: bytes) -> None:
    text = "(&(cn=a*)(!(mail=*)))"
    search = search_request("dc=example", text, "subtree", ["cn", "mail"])
    message = LDAPMessage()
    message["messageID"] = MessageID(number)
    no = False
    request = search_operation("dc=example", text, SUBTREE, DEREF_NEVER, ["cn", "mail"], 0, 0, no, no, no)
    message["protocolOp"] = ProtocolOp().setComponentByName("searchRequest", request)
    controls = Controls()
    controls.setComponentByPosition(0, paged_search_control(criticality=True, size=size, cookie=cookie))
    message["controls"] = controls
    assert encode(message) == search_message(number, search, [paged_control(size, cookie)] if size else ())


@given(st.text(max_size=200), ATTRIBUTES)
def test_an_entry_is_the_one_that_ldap3_decodes(name: str, attributes: dict[str, list[bytes]]) -> None:
    message = entry(1, name, attributes)
    expected = decode_message_fast(message)["payload"]
    raw = raw_of(message)
    found, begin, end = contents_of(raw)
    _, pairs = attributes_of(raw, begin, end, {})
    assert expected[0][3] == found
    assert [(pair[3][0][3], [value[3] for value in pair[3][1][3]]) for pair in expected[1][3]] == pairs


@given(code=st.integers(0, 127), diagnostic=st.text(max_size=50), cookie=st.none() | st.binary(max_size=200))
def test_a_result_is_the_one_that_ldap3_decodes(code: int, diagnostic: str, cookie: bytes | None) -> None:
    message = done(7, code, cookie, diagnostic)
    payload = decode_message_fast(message)
    found = Reader(Pieces(message, []), math.inf).page(7).result
    assert found is not None
    assert (payload["payload"][0][3], payload["payload"][2][3].decode()) == (
        found.code,
        found.message + diagnostic[len(diagnostic.rstrip("\x00")) :],
    )
    if cookie is None:
        assert {} == found.controls
    else:
        oid, control = BaseStrategy.decode_control_fast(payload["controls"][0][3])
        size, actual = paged_value(found.controls[oid.encode()])
        assert (control["value"]["size"], control["value"]["cookie"]) == (size, actual)


# --- any bytes


@given(
    st.lists(ATTRIBUTES, max_size=8), st.lists(st.integers(1, 400), max_size=30), st.integers(0, 2**31 - 1)
)
def test_messages_are_cut_the_same_however_they_arrive(
    entries: list[dict[str, list[bytes]]], sizes: list[int], number: int
) -> None:
    messages = [entry(number, f"uid=u{index}", attributes) for index, attributes in enumerate(entries)]
    whole = b"".join(messages) + done(number)
    reader = Reader(Pieces(whole, sizes), math.inf)
    page = reader.page(number)
    assert [
        message[message.index(integer(number)) + len(integer(number)) :] for message in messages
    ] == page.entries
    assert page.result is not None
    assert b"" == reader.data


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=10))
@example(b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00", [])
@example(b"\x30\x06\x02\x01\x01\x73\x01\x04\x00\x00", [])
def test_any_bytes_are_a_page_or_one_of_the_known_errors(data: bytes, sizes: list[int]) -> None:
    try:
        page = Reader(Pieces(data, sizes), math.inf).page(1)
    except (Malformed, EOFError, IndexError):
        return
    assert isinstance(page, Page)


@given(st.data(), st.text(min_size=1, max_size=20), ATTRIBUTES)
def test_any_damage_to_an_entry_is_a_problem_or_fails_the_read(
    data: st.DataObject, name: str, attributes: dict[str, list[bytes]]
) -> None:
    raw = bytearray(raw_of(entry(1, name, attributes | {"entryUUID": [ENTRY_UUID.encode()]})))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (item,) = Shape(["uid", "cn", "mail", "dn"], "entryUUID").entries([bytes(raw)])
    if isinstance(item, Problem):
        assert item.code in {"malformed", "no_anchor", "ambiguous_anchor", "not_text"}
        return
    try:
        texts = item.attributes
    except Unavailable as error:
        assert "an entry cannot be read after all" in str(error)  # noqa: PT017 - either way is right
    else:
        assert all(isinstance(text, str) for values in texts.values() for text in values)


@given(st.text(max_size=150), ATTRIBUTES, st.booleans())
def test_what_looks_plain_can_be_decoded(
    name: str, attributes: dict[str, list[bytes]], with_anchor: bool
) -> None:
    """The glance that saves the decoding never promises too much."""
    anchor = {"entryUUID": [ENTRY_UUID.encode()]} if with_anchor else {}
    raw = raw_of(entry(1, name, attributes | anchor))
    names = ["uid", "cn", "mail", "description", "userPassword", "dn"]
    shape = Shape(names, "entryUUID", disabled_by="userAccountControl")
    if shape.is_plain(raw):
        shape.fill(Entry.__new__(Entry), raw)


@given(st.dictionaries(NAMES, st.lists(st.text(max_size=140), max_size=3), max_size=6))
def test_texts_are_the_same_whichever_way_they_are_read(attributes: dict[str, list[str]]) -> None:
    """The short way for one short value, and the long way for all others, an empty list at the end included."""
    raw = raw_of(entry(1, "uid=a", attributes))
    _, begin, end = contents_of(raw)
    texts, others = attributes_of(raw, begin, end, {name.encode(): name for name in attributes})
    assert ({name: tuple(values) for name, values in attributes.items()}, []) == (texts, others)


def test_an_entry_of_short_ascii_and_umlauts_looks_plain() -> None:
    shape = Shape(["cn"], "entryUUID")
    plain = raw_of(entry(1, "uid=ü", {"cn": ["Jörg"], "entryUUID": [ENTRY_UUID]}))
    assert shape.is_plain(plain)
    assert not shape.is_plain(raw_of(entry(1, "uid=ü", {"cn": [b"J\xf6rg"], "entryUUID": [ENTRY_UUID]})))
    assert not shape.is_plain(raw_of(entry(1, "uid=ü", {"cn": ["Jörg"]})))


def test_an_entry_that_fools_the_glance_fails_the_read_and_is_not_blanked() -> None:
    """A value that holds the very bytes of an anchor attribute, in an entry without one."""
    fake = b"\x04\x09entryUUID1"
    (item,) = Shape(["cn"], "entryUUID").entries([raw_of(entry(1, "uid=a", {"cn": [fake]}))])
    with pytest.raises(Unavailable, match="an entry cannot be read after all: uid=a shows no entryUUID"):
        _ = item.attributes


@pytest.mark.parametrize(
    "data", [b"\x30", b"\x30\x05\x00", b"\x30\x81", b"\x30\x80\x00\x00", b"\x30\x85" + bytes(5)]
)
def test_elements_that_are_cut_off_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        children(data)


@given(st.binary(max_size=70_000))
@settings(max_examples=30)
def test_an_element_is_read_as_it_was_written(contents: bytes) -> None:
    written = element(0x04, contents)
    size, begin = length(written, 1)
    assert (len(contents), contents) == (size, written[begin:])
    assert [(0x04, contents)] == children(written)


# --- ids


@given(st.uuids())
def test_a_guid_is_written_as_active_directory_writes_it(value: uuid.UUID) -> None:
    assert str(value) == guid(value.bytes_le)


def test_guids_and_sids_of_a_wrong_length_are_refused() -> None:
    for decode, raw in ((guid, b"x" * 15), (sid, b""), (sid, b"\x01\x05" + bytes(6))):
        with pytest.raises(ValueError, match=r".+"):
            decode(raw)


def test_a_sid_is_written_as_people_write_it() -> None:
    assert "S-1-5-32-544" == sid(bytes.fromhex("01020000000000052000000020020000"))


def test_a_guid_of_a_wrong_length_is_a_problem() -> None:
    shape = Shape(["cn"], "objectGUID", disabled_by="userAccountControl")
    (item,) = shape.entries([raw_of(entry(1, "cn=a", {"objectGUID": [b"short"]}))])
    assert isinstance(item, Problem)
    assert (None, "malformed") == (item.anchor, item.code)


def test_a_number_that_is_none_is_a_problem() -> None:
    shape = Shape(["cn"], "entryUUID", disabled_by="userAccountControl")
    (item,) = shape.entries(
        [
            raw_of(
                entry(
                    1, "cn=a", {"userAccountControl": ["many"], "entryUUID": [ENTRY_UUID], "cn": ["x" * 200]}
                )
            )
        ]
    )
    assert isinstance(item, Problem)
