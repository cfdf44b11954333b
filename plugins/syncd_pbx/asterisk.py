"""The platform ``asterisk``: PJSIP endpoints of Asterisk's realtime tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from syncd import Account, Context, Field

from .batches import Node
from .marks import digest
from .options import AsteriskOptions, Reference, fields_of
from .platform import ACCEPTABLE, NodePlatform, number_of, text_of

if TYPE_CHECKING:
    from .rows import Lookup, Rows

PLAIN = r"[^\"<>\\\x00-\x1f\x7f]*"
"""What a caller's name may consist of: the rest has a meaning of its own in SIP headers (RFC 3261, 25.1)."""

MOBILE = r"\+?[0-9*#]{1,30}"
QUEUES = Reference(table="queue_members", column="interface", value="PJSIP/{extension}", what="queue", label="queue_name")  # fmt: skip
"""Who is called by a queue; looked at where the table is there."""


class AsteriskPlatform(NodePlatform):
    """One endpoint, one auth, one AOR and, where asked for, one mailbox for each account."""

    Options: ClassVar[type[AsteriskOptions]] = AsteriskOptions
    options: AsteriskOptions
    users = "ps_endpoints"

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self.fields = _fields(options)

    def lookups(self) -> Mapping[str, Lookup]:
        from .references import lookups_of
        from .rows import Lookup

        options = self.options
        endpoint = {
            "aors",
            "auth",
            "callerid",
            *options.columns,
            *options.endpoint,
            *(options.softphone or {}),
        }
        found = {
            "ps_endpoints": Lookup("ps_endpoints", "id", endpoint),
            "ps_auths": Lookup("ps_auths", "id", {"auth_type", "username", "password"}),
            "ps_aors": Lookup("ps_aors", "id", set(options.aor)),
            **lookups_of([QUEUES], optional=True),
            **lookups_of(options.references),
        }
        if options.voicemail is not None:
            endpoint.add("mailboxes")
            box, context = {"password", "fullname", "email"}, {"context": options.voicemail}
            found["voicemail"] = Lookup("voicemail", "mailbox", box, context)
        if options.twinning is not None:
            found["followme"] = Lookup("followme", "name", set(options.twinning))
            number, identity = {"phonenumber", "timeout"}, ("name", "ordinal")
            found["followme_numbers"] = Lookup("followme_numbers", "name", number, identity=identity)
        return found

    def node(self, rows: Rows) -> Node:
        from .endpoints import Endpoints

        return Endpoints(rows, self.options)

    def fingerprint(self, account: Account) -> str:
        number, options = number_of(account, self.options.extensions), self.options
        mailbox = text_of(account, "mailbox") if options.voicemail is not None else None
        email = text_of(account, "email") if mailbox else None
        soft = text_of(account, "softphone") if options.softphone is not None else None
        mobile = text_of(account, "twinning") if options.twinning is not None and account.enabled else None
        columns = sorted(options.columns)
        more = [text_of(account, name) or options.endpoint.get(name) or "" for name in columns]
        texts = [text or "" for text in (soft, mailbox, email, mobile)]
        return digest(number, callerid(account, number), *texts, more, bool(account.enabled))


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
    if options.softphone is not None:
        again = fields["password"]
        fields |= {
            "softphone": Field(
                "softphone_extension",
                "number, and name of the endpoint, of the soft phone",
                limit=40,
                pattern=options.extensions,
                key=True,
            ),
            "softphone_password": again._replace(description="password of the soft phone"),
        }
    if options.twinning is not None:
        mobile = "number that FollowMe calls beside the telephone"
        fields["twinning"] = Field("mobile_twinning", mobile, limit=31, pattern=MOBILE)
    if options.voicemail is not None:
        fields |= {
            "mailbox": Field("mailbox", "number of the mailbox", limit=40, pattern="[0-9]+"),
            "pin": Field("pin", "code of the mailbox", limit=31, pattern="[0-9]+", secret=True),
            "email": Field("email", "where a message is announced", limit=80),
        }
    return fields | fields_of(options.columns, "ps_endpoints")
