"""What the schema of Active Directory says of attributes."""

from __future__ import annotations

from collections.abc import Iterable

from syncd import Denied

from .adapter import Session
from .filters import escape_filter


def such(session: Session, condition: str, names: Iterable[str]) -> set[str] | None:
    """Return which of the attributes fulfil ``condition``, a filter on the schema; their names in lower case.

    None if the schema may not be read. Raises Unavailable.
    """
    named = "".join(f"(lDAPDisplayName={escape_filter(name)})" for name in sorted(names))
    text = f"(&(objectClass=attributeSchema){condition}(|{named}))"
    try:
        (root,) = session.search("", "(objectClass=*)", "base", "schemaNamingContext")
        schema = root["schemaNamingContext"][0].decode()
        found = session.search(schema, text, "one", "lDAPDisplayName") if named else []
    except (Denied, LookupError, ValueError):
        return None
    return {value.decode().lower() for one in found for value in one.get("lDAPDisplayName", ())}
