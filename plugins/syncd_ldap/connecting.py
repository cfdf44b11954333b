"""From the options to a session that is bound, and to the anchor that its server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd import Denied

if TYPE_CHECKING:
    from syncd import Context

    from .adapter import Session
    from .options import ServerOptions

ANCHORS = {"ad": "objectGUID", "389": "nsUniqueId", "openldap": "entryUUID", "other": "entryUUID"}
DISABLED_BY = {"ad": "userAccountControl", "389": "nsAccountLock"}
"""The attribute by which a server shows that an account is disabled (vendors' rules)."""


def session_of(options: ServerOptions, anchor: str, context: Context) -> tuple[Session, str]:
    """Connect with the first server that answers, and bind; return the name of the anchor, too.

    Raises Unavailable or Denied.
    """
    from .adapter import connect

    session = connect(options, _password(options, context), context.log)
    if anchor != "auto":
        return session, anchor
    if session.root.kind == "unknown":
        session.close()
        raise Denied(f"{session.url}: its root DSE cannot be read, so set anchor to the attribute's name")
    return session, ANCHORS[session.root.kind]


def _password(options: ServerOptions, context: Context) -> str | None:
    bind = options.bind
    if bind is None or bind.password is None:
        return None
    password = context.secret(bind.password)
    if not password:
        # RFC 4513, section 5.1.2: a server takes a bind without a password for an anonymous one.
        raise Denied(f"the password of {bind.dn} is empty; leave bind out to ask as nobody")
    return password
