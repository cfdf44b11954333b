"""The change files of ``mivoice`` against who speaks RFC 2849: OpenLDAP takes them, one after the other."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from servers.slapd import PEOPLE, StartSlapd

from syncd import Account, Delivery
from syncd.testing import context
from syncd_bulk.ldif import LdifFile
from syncd_pbx.mivoice import MivoicePlatform

pytest_plugins = ("servers.fixtures",)

NASTY = ["Müller, Jürgen + Söhne", '"q" \\ <x>;#=', "日本 𝄞", "# no comment", ":<", " blank "]
CLASSES = ("inetOrgPerson",)
LDIF = {
    "Login ID": "uid",
    "Department": "departmentNumber",
    "Location": "l",
    "Home Element": "roomNumber",
}


def platform(folder: Path, **given: object) -> MivoicePlatform:
    settings = {
        "path": str(folder),
        "product": "business",
        "format": "ldif",
        "dn": f"cn={{sn}}+uid={{uid}},{PEOPLE}",
        "object_class": CLASSES,
        "attributes": LDIF,
        "columns": {"Name": {"attribute": "display_name", "ldif": "cn"}},
        **given,
    }
    made = MivoicePlatform(MivoicePlatform.Options.model_validate(settings), context())
    made.open()
    return made


def account(number: int, **fields: str) -> Account:
    text = NASTY[number % len(NASTY)]
    standard = {"Login ID": f"u{number}", "Role": text, "Last Name": text, "Name": text}
    return Account(str(number), "user", True, {**standard, **fields})


def deliver(folder: Path, *steps: tuple[str, Account], **given: object) -> None:
    batch = [Delivery(place, *step[:1], 1, step[1].key, step[1]) for place, step in enumerate(steps)]
    assert [None] * len(steps) == [outcome.error for outcome in platform(folder, **given).deliver(batch)]


@pytest.mark.parametrize("once", [True, False])
def test_openldap_has_what_the_files_say_collected_at_once_or_one_by_one(
    tmp_path: Path, start_slapd: StartSlapd, once: bool
) -> None:
    server = start_slapd()

    def collect() -> None:
        for path in sorted(tmp_path.glob("changes-*.ldif")):
            server.modify(path.read_text())
            path.unlink()

    deliver(tmp_path, *[("add", account(number)) for number in range(6)])
    collect()
    batches = [
        [("update", account(1, **{"First Name": "Ädä", "Role": "x"})), ("delete", account(2))],
        [("update", account(0, **{"First Name": "A", "Department": "B"}))],
        [("update", account(1, **{"First Name": "Ädä", "Last Name": "new, name+"})), ("disable", account(3))],
        [("enable", account(3, Department="R & D")), ("add", account(2)), ("update", account(1))],
        [("update", account(4, **{"Login ID": "renamed", "Location": "Ulm"})), ("update", account(0))],
        [("delete", account(5))],
    ]
    for batch in batches:
        deliver(tmp_path, *batch)
        if not once:
            collect()
    collect()

    command = ["ldapsearch", "-x", "-LLL", "-H", server.ldapi_url, "-b", PEOPLE, "(uid=*)"]
    found = subprocess.run(command, check=True, capture_output=True).stdout
    entries = {entry.values["uid"][0]: dict(entry.values) for entry in LdifFile(io.BytesIO(found))}
    assert {"u0", "u1", "u2", "u3", "renamed"} == set(entries)
    assert {"u1": NASTY[1], "u2": NASTY[2], "u3": NASTY[3]} == {
        login: entries[login]["employeetype"][0] for login in ("u1", "u2", "u3")
    }
    assert (["R & D"], ["Ulm"]) == (entries["u3"]["departmentnumber"], entries["renamed"]["l"])
    assert {"cn", "dn", "employeetype", "objectclass", "sn", "uid"} == set(entries["u0"])
