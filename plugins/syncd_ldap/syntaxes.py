"""How some attributes are written, and what their values mean."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

DISABLED_BIT = 0x2
"""ADS_UF_ACCOUNTDISABLE in Active Directory's userAccountControl (a vendor's rule)."""
UNIQUE_IDS = frozenset({"entryuuid", "nsuniqueid"})
"""Anchors in text: there is exactly one by the schema, and case means nothing."""


def guid(raw: bytes) -> str:
    """Return a GUID of Active Directory as people write it; its first three parts are little-endian."""
    return str(uuid.UUID(bytes_le=raw))


def sid(raw: bytes) -> str:
    """Return a security identifier as people write it, such as ``S-1-5-21-...``."""
    if len(raw) < 8 or len(raw) != 8 + 4 * raw[1]:
        raise ValueError("not a security identifier")
    parts = [int.from_bytes(raw[at : at + 4], "little") for at in range(8, len(raw), 4)]
    return "-".join(["S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)])


BINARY: Mapping[str, Callable[[bytes], str]] = {
    "objectguid": guid,
    "ms-ds-consistencyguid": guid,
    "objectsid": sid,
}
"""Attributes that are bytes, but have a usual way of being written."""

DISABLED: Mapping[str, Callable[[str], bool]] = {
    "useraccountcontrol": lambda value: bool(int(value) & DISABLED_BIT),
    "nsaccountlock": lambda value: value.lower() == "true",
}
"""Whether a value says that the account is disabled, by the attribute in lower case."""
