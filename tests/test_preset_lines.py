"""The presets over the whole line, through the command line: a real directory in, accounts out."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from servers.certificates import Certificate
from servers.samba import READER, Samba
from servers.slapd import PASSWORD, PEOPLE, StartSlapd, record
from servers.slapd import READER as SLAPD_READER

from syncd.config.presets import PRESETS
from syncd.model import VOCABULARY

pytest_plugins = ("servers.fixtures",)

CONFIGURATION = """
state_directory = "{folder}/state"
[attribute.expires]
[enterprise.acme]
sources = ["hq"]
[template.desk]
[role.sales]
template = "desk"
[source.hq]
type = "ldap"
preset = "{preset}"
url = ["{url}"]
ca_file = "{ca}"
bind = {{ dn = "{reader}", password = "file:{folder}/password" }}
base = ["{base}"]
leavers = {{ reads = 1, after = "0s" }}
limits = {{ remove = "off", update = "off", container = "off", shrink = "off" }}
{rows}
"""


class Installation:
    """A configuration with one preset, and its state directory."""

    def __init__(self, folder: Path, preset: str, rows: str = "", **server: str | Path) -> None:
        password = folder / "password"
        password.touch(0o600)
        password.write_text(PASSWORD)
        self.file = folder / "syncd.toml"
        self.file.write_text(CONFIGURATION.format(folder=folder, preset=preset, rows=rows, **server))
        self.file.chmod(0o600)

    def syncd(self, *words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "syncd", "--config", str(self.file), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    def approve(self) -> None:
        """Read, and agree to the plan that is held."""
        (read,) = json.loads(self.syncd("sync", "hq", "--json", code=3))["runs"]
        self.syncd("apply", str(read["run"]), "--yes", "--why", "it is right")

    def account(self, login: str) -> tuple[int, bool, dict[str, Any]]:
        """Return the number of an account, whether it is active, and what it says."""
        query = "SELECT id, active, attributes FROM accounts WHERE attributes ->> 'login' = ?"
        with closing(sqlite3.connect(self.file.parent / "state" / "syncd.db")) as database:
            ((number, active, attributes),) = database.execute(query, (login,)).fetchall()
        return number, bool(active), json.loads(attributes)

    def says(self, login: str) -> dict[str, Any]:
        return self.account(login)[2]


def sources_of(preset: str) -> dict[str, str]:
    """Return account attribute -> directory attribute, of the rows that copy one."""
    rows = PRESETS[preset].map
    names = {name: row if isinstance(row, str) else row["from"] for name, row in rows.items()}
    return {name: source for name, source in names.items() if isinstance(source, str)}


def person_of(preset: str, *without: str, **others: Any) -> dict[str, Any]:
    """Return a value for every directory attribute that a preset copies, but those ``without``."""
    values = {source: f"a {source}" for source in sources_of(preset).values() if source not in without}
    return values | others


def expected_of(preset: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return what the account of an entry with these values is to say; some attributes hold a list."""
    found = {name: values[source] for name, source in sources_of(preset).items() if source in values}
    many = {name for name in found if VOCABULARY[name].many}
    return {
        name: [value] if name in many and isinstance(value, str) else value for name, value in found.items()
    }


AD_ONLY = ("distinguishedName", "objectClass", "msRTCSIP-PrimaryUserAddress")
"""What a controller writes itself, or has in its schema only with another product."""


def test_every_row_of_ad_user_is_filled_by_a_domain_controller(
    tmp_path: Path, domain: Samba, unit: str
) -> None:
    rows = 'detain = "never"\n[source.hq.map]\nexpires = { from = "accountExpires", via = ["filetime"] }\n'
    rows += 'groups = "memberOf"\n'
    installation = Installation(tmp_path, "ad-user", rows, **server_of(domain, unit))
    chief = domain.user("chief.p", unit, accountExpires="9223372036854775807", title="Chief")
    values = person_of(
        "ad-user", *AD_ONLY, sAMAccountName="ada.p", initials="B", manager=chief, mail="ada@example.test"
    )
    ada = domain.user("Ada", unit, **values, accountExpires="133485408000000000")
    group = domain.group("readers.p", unit, ada)
    installation.syncd("sync", "hq")
    expected = expected_of("ad-user", values) | {
        "distinguished_name": ada,
        "object_class": ["top", "person", "organizationalPerson", "user"],
        "expires": "2024-01-01T00:00:00Z",
        "groups": [group],
    }
    assert expected == installation.says("ada.p")
    assert {"login", "last_name", "title", "distinguished_name", "object_class"} == set(
        installation.says("chief.p")
    )


def server_of(domain: Samba, unit: str) -> dict[str, Any]:
    return {"url": domain.ldaps_url, "ca": domain.authority.path, "reader": READER, "base": unit}


def test_what_happens_in_active_directory_happens_to_the_accounts(
    tmp_path: Path, domain: Samba, unit: str
) -> None:
    installation = Installation(tmp_path, "ad-user", 'detain = "never"', **server_of(domain, unit))
    off, moved, married, gone = domain.add_all(unit, ["off.q", "moved.q", "married.q", "gone.q"])
    installation.syncd("sync", "hq")
    before = {login: installation.account(login)[0] for login in ("moved.q", "married.q")}
    domain.disable(off)
    there = domain.rename(moved, "Moved", domain.unit("There", unit))
    domain.modify(married, sAMAccountName="wed.q", sn="Newly-Wed")
    domain.delete(gone)
    installation.syncd("sync", "hq")
    found = {login: installation.account(login) for login in ("off.q", "moved.q", "wed.q", "gone.q")}
    assert [False, True, True, False] == [active for _, active, _ in found.values()]
    assert [*before.values()] == [found["moved.q"][0], found["wed.q"][0]]
    assert there == found["moved.q"][2]["distinguished_name"]
    assert "Newly-Wed" == found["wed.q"][2]["last_name"]
    domain.enable(off)
    installation.syncd("sync", "hq")
    assert installation.account("off.q")[1]


def test_what_a_global_catalogue_does_not_hold_stays_as_it_is(
    tmp_path: Path, domain: Samba, unit: str
) -> None:
    """employeeNumber is not in the partial set, telephoneNumber is: only the second is emptied."""
    rows = 'detain = "never"\n[source.hq.map]\nemployee_number = "employeeNumber"\n'
    installation = Installation(tmp_path, "ad-user", rows, **server_of(domain, unit))
    dee = domain.user("dee.t", unit, employeeNumber="7", telephoneNumber="4711")
    installation.syncd("sync", "hq")
    domain.modify(dee, employeeNumber=None, telephoneNumber=None, title="Chief")
    text = installation.file.read_text()
    installation.file.write_text(text.replace(domain.ldaps_url, domain.catalogue_url))
    installation.syncd("sync", "hq")
    says = installation.says("dee.t")
    assert ("7", None, "Chief") == (says["employee_number"], says.get("phone"), says["title"])
    installation.file.write_text(text)
    installation.syncd("sync", "hq", "--full")
    assert "employee_number" not in installation.says("dee.t")


def test_ids_holds_every_plan_and_keeps_what_counts_once(tmp_path: Path, domain: Samba, unit: str) -> None:
    installation = Installation(tmp_path, "ids", **server_of(domain, unit))
    values = person_of("ids", *AD_ONLY, sAMAccountName="bea.r", mail="bea@example.test", employeeType="sales")
    bea = domain.user("Bea", unit, **values)
    domain.add(f"CN=Contact,{unit}", "contact", mail="else@example.test")
    installation.approve()
    expected = expected_of("ids", values) | {
        "distinguished_name": bea,
        "object_class": ["top", "person", "organizationalPerson", "user"],
    }
    assert expected == installation.says("bea.r")
    domain.modify(bea, **{name: f"{value} 2" for name, value in values.items() if name in ONCE})
    domain.modify(bea, title="another title")
    installation.approve()
    assert expected | {"title": "another title"} == installation.says("bea.r")
    domain.modify(bea, department="Qualität")
    installation.syncd("sync", "hq")
    (failed,) = json.loads(installation.syncd("queue", "--json"))["operations"]
    assert ("failed", "invalid") == (failed["state"], failed["reasons"][0]["code"])
    assert expected["department"] == installation.says("bea.r")["department"]


ONCE = ("telephoneNumber", "otherTelephone", "mobile", "employeeType")
"""What an update leaves alone; ipPhone is read by another row as well."""


def test_every_row_of_openldap_inetorgperson_is_filled_by_openldap(
    tmp_path: Path, start_slapd: StartSlapd, certificate: Certificate
) -> None:
    name = "openldap-inetorgperson"
    values = person_of(
        name, "entryDN", manager=f"uid=chief,{PEOPLE}", labeledURI="https://example.test/cy Cy's page"
    )
    values |= {"uid": "cy.s", "objectClass": "inetOrgPerson", "mail": "cy@example.test"}
    server = start_slapd([record(f"uid=cy.s,{PEOPLE}", **values, cn="Cy")], tls=certificate)
    told = {"url": server.ldaps_url, "ca": certificate.authority, "reader": SLAPD_READER, "base": PEOPLE}
    installation = Installation(tmp_path, name, 'detain = "never"', **told)
    installation.syncd("sync", "hq")
    others = {
        "website": "https://example.test/cy",
        "display_name": "Cy",
        "distinguished_name": f"uid=cy.s,{PEOPLE}",
    }
    assert expected_of(name, values) | others == installation.says("cy.s")
