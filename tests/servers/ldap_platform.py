"""Makes the platform ``ldap`` for a test, over a slapd that lets its bind identity write."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import Any

from syncd import Account, Context, Delivery, Outcome, Value
from syncd.testing import Line, RecordingLog
from syncd_ldap.dn import escape
from syncd_ldap.platform import LdapPlatform

from .slapd import MODULES, PASSWORD, PEOPLE, READER, SUFFIX, Slapd, record

ATTRIBUTES = {
    "uid": "login",
    "cn": "display_name",
    "sn": {"attribute": "last_name", "required": True},
    "mail": {"attribute": "secondary_phones", "many": True},
    "description": "description",
}
BIND = {"dn": READER, "password": "credential:writer"}
DISABLE = {"attribute": "employeeType", "value": "left"}
GROUPS = f"ou=groups,{SUFFIX}"
FORMER = f"ou=former,{SUFFIX}"
UNITS = [
    record(GROUPS, objectClass="organizationalUnit", ou="groups"),
    record(FORMER, objectClass="organizationalUnit", ou="former"),
]
WRITABLE = (
    f"access to attrs=userPassword by dn.exact={READER} write by anonymous auth",
    f"access to * by dn.exact={READER} write by * read",
)
POLICY = f"cn=policy,{SUFFIX}"
LOCK = record(
    POLICY,
    objectClass=["device", "pwdPolicy"],
    cn="policy",
    pwdAttribute="userPassword",
    pwdLockout="TRUE",
)
LOCKING = ["limits * size=unlimited", "overlay ppolicy", f'ppolicy_default "{POLICY}"']
PPOLICY = [f"modulepath {MODULES}", "moduleload ppolicy"] if MODULES.is_dir() else []


def group(name: str, *members: str, base: str = GROUPS) -> str:
    """Return the LDIF of a group; without members it has one who does not exist."""
    values = {"objectClass": "groupOfNames", "cn": name, "member": members or (f"cn=nobody,{GROUPS}",)}
    return record(f"cn={escape(name)},{base}", **values)


def ldap_platform(server: Slapd | str, *, secret: str = PASSWORD, **options: Any) -> LdapPlatform:
    """Return a platform with short timeouts; over ldaps:// if the server can, else over plain ldap://."""
    url = server if isinstance(server, str) else server.ldaps_url if server.certificate else server.url
    if isinstance(server, Slapd) and server.certificate:
        options.setdefault("ca_file", server.certificate.authority)
    if url.startswith("ldap:"):
        options = {"tls": "none", "allow_plaintext_bind": True} | options
    defaults = {"url": [url], "base": PEOPLE, "bind": BIND, "attributes": ATTRIBUTES, "disable": DISABLE}
    settings = LdapPlatform.Options(**defaults | {"read_timeout": 10} | options)
    return LdapPlatform(settings, Context("staff", RecordingLog(), lambda _: secret))


def account(number: int = 1, *, enabled: bool = True, key: str = "", **fields: Value) -> Account:
    """Return an account whose login is ``u<number>``, with fields of the entry in their LDAP names."""
    usual = {"uid": f"u{number}", "cn": f"Person {number}", "sn": f"Surname {number}"}
    return Account(key or str(number), "user", enabled, {**usual, **fields})


def outcome(
    platform: LdapPlatform, action: str, one: Account, remote_id: str | None = None, *changed: str
) -> Outcome:
    """Return what came of one delivery; ``changed`` are all fields unless they are named."""
    fields = frozenset(changed) or frozenset(platform.fields)
    (found,) = platform.deliver([Delivery(1, action, 1, remote_id, one, fields)])
    return found


def done(
    platform: LdapPlatform, action: str, one: Account, remote_id: str | None = None, *changed: str
) -> str:
    """Do one delivery and return the remote id; raises its error."""
    found = outcome(platform, action, one, remote_id, *changed)
    if found.error is not None:
        raise found.error
    return str(found.remote_id)


def entries(
    server: Slapd, base: str = PEOPLE, *asked: str, scope: str = "one"
) -> dict[str, dict[str, list[str]]]:
    """Return what stands in a directory, read by ldapsearch: name -> attribute -> values, sorted."""
    command = [
        "ldapsearch",
        "-x",
        "-LLL",
        "-o",
        "ldif-wrap=no",
        "-H",
        server.ldapi_url,
        "-b",
        base,
        "-s",
        scope,
    ]
    command += ["-D", f"cn=admin,{SUFFIX}", "-w", PASSWORD, "(objectClass=*)", *(asked or ("*",))]
    text = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    found: dict[str, dict[str, list[str]]] = {}
    for block in filter(None, text.split("\n\n")):
        pairs = [_pair(line) for line in block.splitlines()]
        values = found.setdefault(pairs[0][1], {})
        for name, value in pairs[1:]:
            values[name] = sorted([*values.get(name, []), value])
    return found


def _pair(line: str) -> tuple[str, str]:
    match = re.match(r"([^:]+):(:?) ?(.*)", line)
    assert match, line
    return match[1], base64.b64decode(match[3]).decode() if match[2] else match[3]


def lines(platform: LdapPlatform) -> list[Line]:
    """Return what the platform logged."""
    logged: list[Line] = platform.context.log.lines
    return logged
