"""The platform ``asterisk``: PJSIP endpoints of Asterisk's realtime tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from syncd import Account, Context, Field

from .marks import digest
from .options import AsteriskOptions, fields_of
from .platform import ACCEPTABLE, Node, NodePlatform, number_of, text_of

if TYPE_CHECKING:
    from .rows import Rows

PLAIN = r"[^\"<>\\\x00-\x1f\x7f]*"
"""What a caller's name may consist of: the rest has a meaning of its own in SIP headers (RFC 3261, 25.1)."""


class AsteriskPlatform(NodePlatform):
    """One endpoint, one auth, one AOR and, where asked for, one mailbox for each account."""

    Options: ClassVar[type[AsteriskOptions]] = AsteriskOptions
    options: AsteriskOptions
    users = "ps_endpoints"

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self.fields = _fields(options)

    def needed(self) -> Mapping[str, Collection[str]]:
        options = self.options
        endpoint = {"id", "aors", "auth", "callerid", *options.columns, *options.endpoint}
        tables: dict[str, Collection[str]] = {
            "ps_endpoints": endpoint,
            "ps_auths": {"id", "auth_type", "username", "password"},
            "ps_aors": {"id", *options.aor},
        }
        if options.voicemail is not None:
            endpoint.add("mailboxes")
            tables["voicemail"] = {"context", "mailbox", "password", "fullname", "email"}
        return tables

    def optional(self) -> Collection[str]:
        return ("queue_members",)

    def node(self, rows: Rows) -> Node:
        from .endpoints import Endpoints

        return Endpoints(rows, self.options)

    def fingerprint(self, account: Account) -> str:
        number, options = number_of(account, self.options.extensions), self.options
        mailbox = text_of(account, "mailbox") if options.voicemail is not None else None
        email = text_of(account, "email") if mailbox else None
        more = [text_of(account, name) or "" for name in sorted(options.columns)]
        return digest(
            number, callerid(account, number), mailbox or "", email or "", more, bool(account.enabled)
        )


def callerid(account: Account, number: str) -> str:
    """Return the caller id as Asterisk reads it."""
    name = text_of(account, "name")
    return f'"{name}" <{number}>' if name else f"<{number}>"


def _fields(options: AsteriskOptions) -> dict[str, Field]:
    fields = {
        "extension": Field(
            "extension",
            "number, and name of the endpoint",
            required=True,
            limit=40,
            pattern=options.extensions,
            key=True,
        ),
        "name": Field("display_name", "name of the caller", limit=80, pattern=PLAIN),
        "password": Field("password", "password of the telephone", limit=80, pattern=ACCEPTABLE, secret=True),
    }
    if options.voicemail is not None:
        fields |= {
            "mailbox": Field("mailbox", "number of the mailbox", limit=40, pattern="[0-9]+"),
            "pin": Field("pin", "code of the mailbox", limit=31, pattern="[0-9]+", secret=True),
            "email": Field("email", "where a message is announced", limit=80),
        }
    return fields | fields_of(options.columns, "ps_endpoints")
