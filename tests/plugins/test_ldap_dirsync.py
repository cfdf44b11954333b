"""What is asked by the DirSync control, and what of the answers is believed; no real server sends all of these."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import pytest
from servers.liar import entry

from syncd import CursorExpired, Unavailable
from syncd_ldap.dirsync import CONTROL, DirSync
from syncd_ldap.entries import Shape
from syncd_ldap.wire import Result, children, element, integer

BASE = "DC=example,DC=test"
GUID = bytes(range(16))


def told(**attributes: list[bytes]) -> bytes:
    message = entry(1, f"CN=ann,{BASE}", {"objectGUID": [GUID], **attributes})
    return element(0x64, children(children(message)[0][1])[1][1])


def answered(cookie: bytes, *, more: bool = False, code: int = 0) -> Result:
    value = element(0x30, integer(int(more)), integer(0), element(0x04, cookie))
    return Result(code, "", "why not", (), {CONTROL.encode(): value})


class Server:
    """Stands for session and reading: answers a search by the next of its scripted answers."""

    def __init__(self, *answers: tuple[list[bytes], Result]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, list[str], bytes]] = []
        self.url = "ldaps://dc1"
        self.root = SimpleNamespace(contexts=(BASE,))
        self.session = self
        self.filter = "(&(objectClass=user)(!(employeeType=left)))"
        self.options = SimpleNamespace(base=[f"OU=People,{BASE}"], filter=self.filter)

    def entry(self, *_: str) -> dict[str, list[bytes]]:
        return {"objectguid": [GUID]}

    def whole(
        self, base: str, text: str, names: list[str], controls: list[bytes]
    ) -> tuple[list[bytes], Result]:
        self.asked.append((base, text, names, controls[0]))
        return self.answers.pop(0)


def strategy(server: Any) -> DirSync:
    return DirSync(server, server, Shape(["sn", "memberOf"], "objectGUID", disabled_by="userAccountControl"))


def first(*answers: tuple[list[bytes], Result]) -> tuple[Server, DirSync]:
    server = Server(*answers)
    return server, strategy(server)


def test_the_first_cookie_is_asked_for_by_one_entry_in_as_many_portions_as_the_server_likes() -> None:
    """The value is flags, size and cookie (MS-ADTS, 3.1.1.3.4.1.3); the flags are none."""
    gone = told(isDeleted=[b"TRUE"])
    server, dirsync = first(([], answered(b"one", more=True)), ([gone], answered(b"two")))
    assert {BASE: b64encode(b"two").decode()} == dirsync.mark() == dirsync.mark()
    assert 2 == len(server.asked)
    for (base, text, names, sent), cookie in zip(server.asked, (b"", b"one"), strict=True):
        assert (BASE, "(&(isDeleted=TRUE)(objectClass=container))", ["isdeleted"]) == (base, text, names)
        assert element(0x30, b"\x02\x01\x00", b"\x02\x03\x10\x00\x00", element(0x04, cookie)) in sent


def test_what_is_asked_and_filtered_by_is_watched_and_memberships_by_their_groups() -> None:
    server, dirsync = first(([], answered(b"two")), ([], answered(b"two")), ([], answered(b"two")))
    assert [] == list(dirsync.since({BASE: b64encode(b"one").decode()}))
    everybody, containers, groups = (names for _, _, names, _ in server.asked)
    watched = {"sn", "objectguid", "useraccountcontrol", "objectclass", "employeetype"}
    assert watched | {"name", "whencreated", "isdeleted"} == set(everybody)
    assert (["name", "whencreated", "isdeleted"], [*containers, "member"]) == (containers, groups)


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (answered(b"one", more=True), Unavailable, "the server begins again"),
        (Result(0, "", "", (), {}), Unavailable, "ended without its control"),
        (Result(0, "", "", (), {CONTROL.encode(): b"\x30\x00"}), Unavailable, "ended without its control"),
        (answered(b"", code=12), CursorExpired, "does not take its cookie any more: why not"),
        (answered(b"", code=53), CursorExpired, "does not take its cookie any more"),
        (answered(b"", code=50), CursorExpired, "Replicating Directory Changes"),
        (answered(b"", code=51), Unavailable, "busy"),
        (answered(b"", code=4), Unavailable, "sizeLimitExceeded"),
    ],
)
def test_an_answer_that_is_no_whole_is_not_believed(answer: Result, error: type, reason: str) -> None:
    _, dirsync = first(([told(sn=[b"X"])], answer))
    with pytest.raises(error, match=reason):
        list(dirsync.since({BASE: b64encode(b"one").decode()}))


def test_a_domain_that_shows_nobody_deleted_is_not_followed() -> None:
    _, dirsync = first(([], answered(b"one")))
    assert f"who is deleted from {BASE} is not shown" in str(dirsync.unusable())
