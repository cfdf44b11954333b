"""The mailboxes of one voicemail context, as endpoints have them."""

from __future__ import annotations

from collections.abc import Sequence

from syncd import Account

from .marks import unknown_pin
from .platform import text_of
from .references import Mentions, require_unused, split
from .rows import Row, Rows, Values

_OURS = frozenset({"mailbox", "pin", "email", "name"})
"""The fields that a mailbox has of an account."""


class Mailboxes:
    """The mailboxes of ``context``."""

    def __init__(self, rows: Rows, context: str, mentions: Mentions) -> None:
        self.rows = rows
        self.context = context
        self.mentions = mentions

    def address(self, box: str) -> str:
        """Return a mailbox as endpoints name it."""
        return f"{box}@{self.context}"

    def of(self, endpoint: Row) -> str | None:
        """Return the first mailbox of an endpoint that is in the context."""
        return self.first(endpoint["mailboxes"])

    def first(self, names: str | None) -> str | None:
        """Return the first mailbox of a list that is in the context."""
        end = self.address("")
        return next((name.removesuffix(end) for name in split(names) if name.endswith(end)), None)

    def follow(self, own: list[str], account: Account, changed: frozenset[str]) -> Values:
        """Make the mailbox follow the account; one that it loses is deleted. Return what its endpoints are to have.

        ``own``: the account's endpoints, of which the first need not be there yet.
        """
        if changed.isdisjoint(_OURS):
            return {}
        endpoint, box = self.rows.one("ps_endpoints", own[0]), text_of(account, "mailbox")
        names = None if endpoint is None else endpoint["mailboxes"]
        was = self.first(names)
        if box and was != box and self.rows.one("voicemail", box) is not None:
            require_unused(f"mailbox {box}", self.mentions.of({self.address(box)}, own))
        if was and was != box:
            self.move(was, box, own)
        if box:
            values = {"fullname": text_of(account, "name"), "email": text_of(account, "email")}
            if "pin" in changed:
                values["password"] = text_of(account, "pin") or unknown_pin()
            self.rows.put(
                "voicemail", box, values, {} if "password" in values else {"password": unknown_pin()}
            )
        return {"mailboxes": self.named(own[0], names, was, box)}

    def move(self, was: str, box: str | None, own: Sequence[str]) -> None:
        """Give a mailbox another number; it is deleted if there is none, or one that nobody uses is there.

        Raises Blocked where others use it.
        """
        require_unused(f"mailbox {was}", self.mentions.of({self.address(was)}, own))
        row = self.rows.one("voicemail", was)
        if box is None or self.rows.one("voicemail", box) is not None:
            self.rows.delete(row)
        elif row is not None:
            self.rows.change(row, {"mailbox": box})

    def named(self, number: str, names: str | None, was: str | None, box: str | None) -> str:
        """Return the list of an endpoint with one mailbox instead of the one that it had."""
        gone = None if was is None else self.address(was)
        others = [name for name in split(names) if name != gone]
        mine = [self.address(box)] if box else []
        if box != number:
            self.mentions.note(number, mine)
        return ",".join(dict.fromkeys(mine + others))
