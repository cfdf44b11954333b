"""What a server's result code means for a synchronization: wait, or call a person (RFC 4511, appendix A)."""

from __future__ import annotations

import re

from syncd import ConnectorError, Denied, Unavailable

LIMITS = "let the bind identity read without limits (OpenLDAP: limits ... size=unlimited time=unlimited)"
RIGHTS = "give the bind identity the right to read there"

_CURES: dict[int, tuple[type[ConnectorError], str]] = {
    1: (Unavailable, "something went wrong inside the server; see its log"),
    2: (Unavailable, "the server takes the request for faulty; see its log"),
    3: (Unavailable, f"{LIMITS}, or narrow base and filter"),
    4: (Unavailable, f"{LIMITS}, or lower page_size"),
    7: (Denied, "the server wants another kind of bind"),
    8: (Denied, "the server wants a protected connection: write ldaps://, or tls = starttls"),
    10: (Unavailable, "another server holds this; name that one in url"),
    11: (Unavailable, f"{LIMITS}; index the attributes of the filter"),
    12: (Denied, "the server cannot page: set page_size = 0"),
    13: (Denied, "the server wants a protected connection: write ldaps://, or tls = starttls"),
    18: (Denied, "mend the filter: an attribute in it cannot be compared like this"),
    32: (Denied, f"mend base; if it is right, {RIGHTS}"),
    34: (Denied, "mend base: the server does not take it for a distinguished name"),
    48: (Denied, "configure bind: the server wants to know who asks"),
    49: (Denied, "mend bind: its dn or its password is wrong"),
    50: (Denied, RIGHTS),
    51: (Unavailable, "the server is busy; it is asked again later"),
    52: (Unavailable, "the server is not available; it is asked again later"),
    53: (Unavailable, "the server does not want to; see its log"),
}

_NAMES = {
    1: "operationsError",
    2: "protocolError",
    3: "timeLimitExceeded",
    4: "sizeLimitExceeded",
    7: "authMethodNotSupported",
    8: "strongerAuthRequired",
    10: "referral",
    11: "adminLimitExceeded",
    12: "unavailableCriticalExtension",
    13: "confidentialityRequired",
    18: "inappropriateMatching",
    32: "noSuchObject",
    34: "invalidDNSyntax",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}

_LOGON = {
    "525": "there is no such account",
    "52e": "the password is wrong",
    "530": "the account may not log on at this hour",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked",
}
"""What Active Directory means by ``data 52e`` in the text of an invalidCredentials (a vendor's rule)."""


def failure(code: int, message: str, where: str) -> ConnectorError:
    """Return the error for a result that is no success; ``where`` names the server and what was asked."""
    kind, cure = _CURES.get(code, (Unavailable, "see the log of the server"))
    if code == 1 and re.search(r"\bbind\b|authentication", message):
        # So Active Directory answers a search by nobody (a vendor's rule).
        kind, cure = Denied, "configure bind: the server wants to know who asks"
    logon = re.search(r"\bdata ([0-9a-f]{3})\b", message) if code == 49 else None
    if logon and logon[1] in _LOGON:
        message = _LOGON[logon[1]]
    said = f", it says {message.strip()!r}" if message.strip() else ""
    return kind(f"{where}: {_NAMES.get(code, 'result')} ({code}){said}; {cure}")
