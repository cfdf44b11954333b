"""What a server's result code means for a synchronization: wait, or call a person (RFC 4511, appendix A)."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from syncd import ConnectorError, Denied, Gone, Rejected, Unavailable

LIMITS = (
    "let the bind identity read without limits (OpenLDAP: limits ... size=unlimited time=unlimited; "
    "389 Directory Server: nsLookThroughLimit, nsSizeLimit and nsTimeLimit = -1 in its entry)"
)
READ = "give the bind identity the right to read there"
WRITE = "give the bind identity the right to write there"
VALUE = "correct it in its source, or in the mapping"
WRITABLE = "name a server in url that may be written to"
LATER = "it is asked again later"
LOG = "see the log of the server"

Kind: TypeAlias = type[ConnectorError]


class Meaning(NamedTuple):
    """What a result code means: to a read, and to a write that ends with it; each with its cure."""

    name: str
    reading: Kind
    read_cure: str
    writing: Kind
    write_cure: str


def _both(name: str, kind: Kind, cure: str) -> Meaning:
    return Meaning(name, kind, cure, kind, cure)


def _write(name: str, cure: str = VALUE) -> Meaning:
    """Return the meaning of a code that one record is refused with; to a read it makes no sense."""
    return Meaning(name, Unavailable, LOG, Rejected, cure)


MEANINGS: dict[int, Meaning] = {
    1: _both("operationsError", Unavailable, "something went wrong inside the server; see its log"),
    2: Meaning(
        "protocolError",
        Unavailable,
        "the server takes the request for faulty; see its log",
        Rejected,
        "the server takes the request for faulty; see its log",
    ),
    3: _both("timeLimitExceeded", Unavailable, f"{LIMITS}, or narrow base and filter"),
    4: _both("sizeLimitExceeded", Unavailable, f"{LIMITS}, or lower page_size"),
    5: _both("compareFalse", Unavailable, LOG),
    6: _both("compareTrue", Unavailable, LOG),
    7: _both("authMethodNotSupported", Denied, "the server wants another kind of bind"),
    8: _both(
        "strongerAuthRequired", Denied, "configure bind, and a protected connection: ldaps:// or starttls"
    ),
    9: _both("reserved", Unavailable, LOG),
    10: Meaning(
        "referral",
        Unavailable,
        "another server holds this; name that one in url",
        Denied,
        f"another server holds this; {WRITABLE}",
    ),
    11: _both(
        "adminLimitExceeded", Unavailable, f"{LIMITS}, or lower page_size; index the attributes of the filter"
    ),
    12: _both("unavailableCriticalExtension", Denied, "the server cannot page: set page_size = 0"),
    13: _both("confidentialityRequired", Denied, "write ldaps://, or tls = starttls"),
    14: _both("saslBindInProgress", Unavailable, LOG),
    16: _write("noSuchAttribute"),
    17: _write("undefinedAttributeType", "the schema does not know it: mend attributes, or the schema"),
    18: Meaning(
        "inappropriateMatching",
        Denied,
        "mend the filter: an attribute in it cannot be compared like this",
        Rejected,
        "the schema cannot compare this attribute so",
    ),
    19: _write("constraintViolation"),
    20: _write("attributeOrValueExists", f"two values that are the same to the server; {VALUE}"),
    21: _write("invalidAttributeSyntax"),
    32: Meaning("noSuchObject", Denied, f"mend base; if it is right, {READ}", Gone, "it is looked up again"),
    33: _write("aliasProblem", LOG),
    34: Meaning(
        "invalidDNSyntax",
        Denied,
        "mend base: the server does not take it for a distinguished name",
        Rejected,
        VALUE,
    ),
    36: _both("aliasDereferencingProblem", Unavailable, LOG),
    48: _both("inappropriateAuthentication", Denied, "configure bind: the server wants to know who asks"),
    49: _both(
        "invalidCredentials",
        Denied,
        "mend bind: its dn or its password is wrong (or the account is locked, or has expired: not every server says)",
    ),
    50: Meaning("insufficientAccessRights", Denied, READ, Denied, WRITE),
    51: _both("busy", Unavailable, f"the server is busy; {LATER}"),
    52: _both("unavailable", Unavailable, f"the server is not available; {LATER}"),
    53: Meaning(
        "unwillingToPerform",
        Unavailable,
        "the server does not want to; see its log",
        Rejected,
        "the server does not want to; see its log",
    ),
    54: _both("loopDetected", Unavailable, LOG),
    64: _write("namingViolation", "an entry of these object classes cannot be named so, or stand there"),
    65: _write("objectClassViolation", f"mend object_classes or attributes; or {VALUE}"),
    66: _write("notAllowedOnNonLeaf", "remove the entries below it first"),
    67: _write("notAllowedOnRDN", "the entry is named by it"),
    68: _write("entryAlreadyExists", "rename one of the two, or name entries by something unique (rdn)"),
    69: _write("objectClassModsProhibited", "the server does not change object classes; mend object_classes"),
    71: _write("affectMultipleDSAs", "the new place is on another server"),
    80: _both("other", Unavailable, LOG),
    **{
        code: _both(name, Unavailable, LOG)
        for code, name in {
            113: "lcupResourcesExhausted",
            114: "lcupSecurityViolation",
            115: "lcupInvalidData",
            116: "lcupUnsupportedScheme",
            117: "lcupReloadRequired",
            118: "canceled",
            119: "noSuchOperation",
            120: "tooLate",
            121: "cannotCancel",
            122: "assertionFailed",
            4096: "e-syncRefreshRequired",
        }.items()
    },
    123: Meaning("authorizationDenied", Denied, READ, Denied, WRITE),
}
"""Every result code that servers are known to send (RFC 4511, 3928, 3909, 4528, 4370, 4533)."""

_UNKNOWN = _both("result", Unavailable, LOG)

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
_WRONG = frozenset({"525", "52e"})
"""Those for which the configuration is to blame."""

_ATTRIBUTE = (
    r"\bAtt [0-9a-f]+ \(([\w-]+)\)",  # Active Directory: Att 9004e (sn):len 140
    r"SINGLE-VALUE attribute ([\w-]+)",  # Samba
    r"(?:requires|naming) attribute '([^']+)'",  # OpenLDAP, objectClassViolation, namingViolation
    r"[Aa]ttribute:? ['\"]([^'\" ]+) ?['\"]",  # OpenLDAP, 389: attribute "x" not allowed; (attribute: "x ")
    r"^([A-Za-z][\w-]*(?:;[\w-]+)*): ",  # OpenLDAP: mail: value #0 invalid per syntax
)
"""Where a diagnostic message names the attribute that it is about (vendors' habits)."""

_NO_BIND = r"\bbind\b|authentication"
_READ_ONLY = r"(?i:shadow context|operation restricted|read-?only)"
_NO_PASSWORD = "0000052D"  # noqa: S105 - the number of Active Directory's rule on passwords


def failure(code: int, message: str, where: str) -> ConnectorError:
    """Return the error for a read that is no success; ``where`` names the server and what was asked."""
    meaning = MEANINGS.get(code, _UNKNOWN)
    kind, cure = meaning.reading, meaning.read_cure
    if code == 1 and re.search(_NO_BIND, message):
        # So Active Directory answers a search by nobody (a vendor's rule).
        kind, cure = MEANINGS[48].reading, MEANINGS[48].read_cure
    logon = re.search(r"\bdata ([0-9a-f]{3})\b", message) if code == 49 else None
    if logon and logon[1] in _LOGON:
        message = _LOGON[logon[1]]
        cure = cure if logon[1] in _WRONG else "see to that account in Active Directory"
    return _said(kind, meaning.name, code, message, where, cure)


def refusal(code: int, message: str, where: str) -> ConnectorError:
    """Return the error for a write that is no success; it names the attribute if the server does."""
    meaning = MEANINGS.get(code, _UNKNOWN)
    kind, cure = meaning.writing, meaning.write_cure
    if code == 1 and re.search(_NO_BIND, message):
        kind, cure = MEANINGS[48].writing, MEANINGS[48].write_cure
    elif code == 53 and re.search(_READ_ONLY, message):
        kind, cure = Denied, WRITABLE
    elif code == 53 and _NO_PASSWORD in message:
        cure = "Active Directory enables no account without a password: set one there, then retry"
    name = meaning.name
    if kind is Rejected and (attribute := attribute_in(message)):
        name = f"{name} at {attribute}"
    return _said(kind, name, code, message, where, cure)


def attribute_in(message: str) -> str | None:
    """Return the attribute that a diagnostic message is about, if it names one."""
    found = (re.search(pattern, message) for pattern in _ATTRIBUTE)
    return next((match[1] for match in found if match), None)


def _said(kind: Kind, name: str, code: int, message: str, where: str, cure: str) -> ConnectorError:
    said = f", it says {message.strip()!r}" if message.strip() else ""
    return kind(f"{where}: {name} ({code}){said}; {cure}")
