"""The text of a first configuration, made to fit what it is to read."""

from __future__ import annotations

import csv as csv_format
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import SyncdError
from ..model import VOCABULARY

_LOOK_AT = 1 << 20

_SYNONYMS = {
    "mail": "email",
    "e_mail": "email",
    "email_address": "email",
    "user": "login",
    "username": "login",
    "user_name": "login",
    "uid": "login",
    "samaccountname": "login",
    "firstname": "first_name",
    "given_name": "first_name",
    "givenname": "first_name",
    "lastname": "last_name",
    "surname": "last_name",
    "sn": "last_name",
    "name": "display_name",
    "full_name": "display_name",
    "displayname": "display_name",
    "cn": "display_name",
    "telephone": "phone",
    "telephonenumber": "phone",
    "phone_number": "phone",
    "mobile_phone": "mobile",
    "cell": "mobile",
    "office": "location",
    "site": "location",
    "employeenumber": "employee_number",
    "personnel_number": "employee_number",
    "number": "employee_number",
    "employee_id": "employee_number",
}
"""What columns are often called, folded, and the attribute that is meant."""

_ANCHORS = ("entryUUID", "objectGUID", "nsUniqueId")


class Choice(NamedTuple):
    """What the configuration is to be about; ``kind`` is ``ldap``, ``ldif`` or ``csv``."""

    kind: str
    file: Path | None
    url: str | None
    base: str | None
    anchor: str | None
    enterprise: str
    state: Path
    source: str = "people"


def text_of(choice: Choice) -> str:
    """Return the configuration. Raises SyncdError for a file that cannot be read, or a name that cannot be one."""
    if not re.fullmatch(r"[A-Za-z0-9-]{4,32}", choice.enterprise):
        raise SyncdError(
            f"{choice.enterprise!r} cannot name an enterprise: 4 to 32 letters, digits and dashes"
        )
    source = {"ldap": _ldap, "ldif": _ldif, "csv": _csv}[choice.kind](choice)
    return "\n".join([*_head(choice), *source, *_platform(choice), ""])


def _head(choice: Choice) -> Iterable[str]:
    yield '# The configuration of syncd. "man syncd.toml" explains every setting, share/syncd/syncd.toml shows all in place.'
    yield '# "syncd check" finds every mistake at once, "syncd config show --origin" shows what is in force.'
    yield ""
    yield f"state_directory = {_quoted(choice.state)}"
    yield "# Of every time of day in this file; without it: UTC."
    yield '#timezone = "Europe/Berlin"'
    yield ""
    yield "# A tenant: the scope in which logins, addresses and extensions are unique. What stands first among"
    yield "# the sources wins where two differ. protected: attribute:pattern of accounts that are never removed."
    yield f"[enterprise.{choice.enterprise}]"
    yield f'sources = ["{choice.source}"]'
    yield 'protected = ["login:admin", "login:root"]'
    yield ""


def _ldap(choice: Choice) -> Iterable[str]:
    yield f"[source.{choice.source}]"
    yield 'type = "ldap"'
    url = _url(choice.url or "ldaps://dc1.example.org")
    yield "# Servers that hold the same directory, tried in this order."
    yield f"url = [{_quoted(url)}]"
    if url.startswith("ldap://"):
        yield "# Nothing is sent in the clear."
        yield 'tls = "starttls"'
    yield "# The password stands in a file of its own, mode 0640 or narrower; better still, where the service alone"
    yield f'# can read it: in /etc/syncd/credentials/{choice.source}, with "credential:{choice.source}" here.'
    yield 'bind = { dn = "syncd@example.org", password = "file:/etc/syncd/ldap-password" }'
    yield "# Where the people are."
    yield f"base = [{_quoted(choice.base or 'DC=example,DC=org')}]"
    yield '# For Active Directory; for others: "openldap-inetorgperson".'
    yield 'preset = "ad-user"'
    yield from _terms('["add", "update", "remove"]')
    yield "# Left out: it is read only when a person asks for it."
    yield '#schedule = { incremental = "every 15m", full = "daily at 02:30" }'
    yield ""
    yield '# What the preset says can be changed line by line: "syncd config show --preset ad-user".'
    yield f"#[source.{choice.source}.map]"
    yield '#email = { from = "mail", via = ["first", "trim", "lower"] }'
    yield ""


def _url(text: str) -> str:
    """Return the URL of a server, of which the name may be enough. Raises SyncdError for what is none."""
    url = text if "://" in text else f"ldaps://{text}"
    if not re.fullmatch(r"ldaps?://[^\s/?#@]+/?", url):
        raise SyncdError(
            f"{text!r} is no directory server; write ldaps://host, with :port where it is another"
        )
    return url


def _ldif(choice: Choice) -> Iterable[str]:
    names = _names_in_ldif(_beginning(choice))
    anchor = choice.anchor or next((name for name in _ANCHORS if name.lower() in names), "dn")
    preset = "ad-user" if "samaccountname" in names else "openldap-inetorgperson"
    yield f"[source.{choice.source}]"
    yield 'type = "ldif"'
    yield f"path = {_quoted(choice.file)}"
    yield "# The attribute that never changes for a person."
    if anchor == "dn":
        yield "# The file has none: with dn, whoever is renamed or moved becomes another. Better: an export with"
        yield "# operational attributes (ldapsearch ... '*' '+'), and entryUUID here."
    yield f"anchor = {_quoted(anchor)}"
    yield f"# What it stands for: syncd config show --preset {preset}"
    yield f'preset = "{preset}"'
    yield from _file_terms()
    yield ""


def _csv(choice: Choice) -> Iterable[str]:
    header = _header(choice)
    mapped = _mapped(header)
    anchor = choice.anchor or _likely_anchor(header, mapped)
    if anchor not in header:
        raise SyncdError(f"{choice.file} has no column {anchor!r}; it has: {', '.join(header)}")
    yield f"[source.{choice.source}]"
    yield 'type = "csv"'
    yield f"path = {_quoted(choice.file)}"
    yield "# The column that never changes for a person."
    yield f"anchor = {_quoted(anchor)}"
    yield "# How an account that exists already is found."
    yield f"match = {json.dumps([name for name in ('login', 'email') if name in mapped])}"
    yield from _file_terms()
    yield ""
    yield "# Account attribute = column. docs/configuration.md lists the attributes, docs/mapping.md says what can be"
    yield "# done on the way. #? = ... is a column from which nothing is filled: write an attribute in the place of #?"
    yield f"[source.{choice.source}.map]"
    for name, column in mapped.items():
        yield f"{name} = {_quoted(column)}"
    for column in header:
        if column not in mapped.values() and column != anchor:
            yield f"#? = {_quoted(column)}"
    yield ""


def _file_terms() -> Iterable[str]:
    yield "# Seconds without a change until the file counts as whole. 0: it is put in place by a rename."
    yield "#stable_for = 60"
    yield from _terms('["add", "update"]')


def _terms(operations: str) -> Iterable[str]:
    yield "# What may be done: add, update, remove."
    yield f"operations = {operations}"
    yield "# The first plan waits for a person: syncd apply."
    yield 'detain = "first-run"'


def _platform(choice: Choice) -> Iterable[str]:
    columns = ["login", "display_name", "email", "phone", "department"]
    if choice.kind == "csv":
        mapped = _mapped(_header(choice))
        columns = [name for name in _SHOWN if name in mapped] or list(mapped)
    yield "# Where accounts go to: here a file, to have something to look at."
    yield "[platform.phonebook]"
    yield 'type = "csv"'
    yield f"path = {_quoted(choice.state / 'phonebook.csv')}"
    unique = '{ attribute = "login", key = true }'
    yield "# key: the row is found by it as well, where an older database was restored."
    pairs = (f"{name} = {unique if name == 'login' else _quoted(name)}" for name in columns)
    yield f"columns = {{ {', '.join(pairs)} }}"


_SHOWN = ("login", "display_name", "first_name", "last_name", "email", "phone", "department")


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _beginning(choice: Choice) -> str:
    assert choice.file is not None  # noqa: S101 - both kinds of file have one
    try:
        with choice.file.open("rb") as stream:
            return stream.read(_LOOK_AT).decode("utf-8-sig", "replace")
    except OSError as error:
        raise SyncdError(f"{choice.file} cannot be read: {error.strerror}") from error


def _names_in_ldif(text: str) -> set[str]:
    return {
        name.lower() for name in re.findall(r"^([A-Za-z][A-Za-z0-9-]*)(?:;[^:\n]*)?:", text, re.MULTILINE)
    }


def _header(choice: Choice) -> list[str]:
    line = next(iter(_beginning(choice).splitlines()), "")
    delimiter = max(",;\t|", key=line.count)
    header = next(csv_format.reader(io.StringIO(line), delimiter=delimiter), [])
    if not any(name.strip() for name in header):
        raise SyncdError(f"{choice.file} has no header: its first line names no column")
    return header


def _mapped(header: Iterable[str]) -> dict[str, str]:
    """Return attribute -> column, as far as the names tell."""
    found: dict[str, str] = {}
    for column in header:
        folded = re.sub(r"[^a-z0-9]+", "_", column.strip().casefold()).strip("_")
        name = _SYNONYMS.get(folded, folded)
        if name in VOCABULARY and not VOCABULARY[name].secret:
            found.setdefault(name, column)
    return found


def _likely_anchor(header: list[str], mapped: dict[str, str]) -> str:
    ids = [column for column in header if re.search(r"(?i)(uuid|guid|^id$|[_ -]id$)", column)]
    return next(iter(ids), None) or mapped.get("employee_number") or mapped.get("login") or header[0]
