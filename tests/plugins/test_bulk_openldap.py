"""LDIF against those who speak it: OpenLDAP takes what is written, and what it exports is read."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from types import SimpleNamespace

from servers.slapd import ADMIN, PASSWORD, PEOPLE, SLAPD, Slapd, StartSlapd, run

from syncd import Account, Context, Delivery, Entry
from syncd_bulk.ldif import LdifFile
from syncd_bulk.ldifplatform import LdifPlatform
from syncd_bulk.ldifsource import LdifSource

pytest_plugins = ("servers.fixtures",)

CONTEXT = Context("openldap", SimpleNamespace(), str)
NASTY = ["Müller, Jürgen + Söhne", ' "q" \\ <x>;#=', "日本 𝄞", "# no comment", "- ", ":<"]


def platform(path: Path, **options: object) -> LdifPlatform:
    attributes: dict[str, object] = {name: name for name in ("uid", "cn", "sn", "mail", "description")}
    attributes["telephoneNumber"] = {"attribute": "phone", "many": True}
    settings = {"path": str(path), "dn": f"uid={{uid}},{PEOPLE}", "attributes": attributes, **options}
    made = LdifPlatform(LdifPlatform.Options.model_validate(settings), CONTEXT)
    made.open()
    return made


def account(key: str, **fields: str | tuple[str, ...]) -> Account:
    return Account(key, "user", True, {"uid": f"u{key}", "cn": "Ada", "sn": "Lovelace", **fields})


def search(server: Slapd, *attributes: str) -> bytes:
    command = ["ldapsearch", "-x", "-LLL", "-H", server.ldapi_url, "-b", PEOPLE, "(uid=*)", *attributes]
    return subprocess.run(command, check=True, capture_output=True).stdout


def content(data: bytes) -> dict[str, dict[str, list[str]]]:
    """Return uid -> attributes; a directory may spell a name in another way, and keeps no order of values."""
    entries = [dict(entry.values) for entry in LdifFile(io.BytesIO(data))]
    return {
        entry["uid"][0]: {name: sorted(values) for name, values in entry.items() if name != "dn"}
        for entry in entries
    }


def nasty() -> list[Account]:
    return [account(str(n), uid=text, cn=text, description=f"{text}\n" * 200) for n, text in enumerate(NASTY)]


def test_openldap_takes_the_content_file_and_has_the_very_values(
    tmp_path: Path, start_slapd: StartSlapd
) -> None:
    path, server = tmp_path / "out.ldif", start_slapd()
    made = platform(path)
    outcomes = made.deliver(Delivery(n, "add", 1, None, one) for n, one in enumerate(nasty()))
    assert all(outcome.error is None for outcome in outcomes)

    run(["ldapadd", "-x", "-H", server.ldapi_url, "-D", ADMIN, "-w", PASSWORD], path.read_text())

    assert content(path.read_bytes()) == content(search(server))
    assert len(NASTY) == len(content(search(server)))


def test_openldap_takes_the_change_files_one_after_the_other(tmp_path: Path, start_slapd: StartSlapd) -> None:
    folder, server = tmp_path / "changes", start_slapd()
    folder.mkdir()
    made = platform(folder, style="changes")
    one, two, three = account("1", mail="a@x", telephoneNumber=("1", "2")), account("2"), account("3")
    batches = [
        [("add", None, one), ("add", None, two), ("add", None, three)],
        [("update", "1", account("1", cn="Ädä\nx", telephoneNumber=("2", "3"))), ("delete", "2", two)],
        [("update", "1", account("1", uid="new, name+", sn="King")), ("disable", "3", three)],
        [("enable", "3", account("3", mail="c@x")), ("add", None, account("2", description=" blank "))],
    ]

    for batch in batches:
        deliveries = [Delivery(n, action, 1, key, who) for n, (action, key, who) in enumerate(batch)]
        assert all(outcome.error is None for outcome in made.deliver(deliveries))
    files = sorted(folder.glob("0*.ldif"))
    for path in files:
        server.modify(path.read_text())

    assert 4 == len(files)
    assert content((folder / ".state.ldif").read_bytes()) == content(search(server))


def test_what_slapcat_and_ldapsearch_export_is_read(tmp_path: Path, start_slapd: StartSlapd) -> None:
    path, server = tmp_path / "out.ldif", start_slapd()
    list(platform(path).deliver(Delivery(n, "add", 1, None, one) for n, one in enumerate(nasty())))
    run(["ldapadd", "-x", "-H", server.ldapi_url, "-D", ADMIN, "-w", PASSWORD], path.read_text())
    configuration = str(server.directory / "slapd.conf")
    cat = [SLAPD, "-T", "cat", "-f", configuration, "-a", "(uid=*)", "-l", str(tmp_path / "cat")]
    run(cat)
    (tmp_path / "search").write_bytes(search(server, "*", "entryUUID"))

    found = [entries(tmp_path / name) for name in ("cat", "search")]

    assert found[0] == found[1]
    assert {text: (f"{text}\n" * 200,) for text in NASTY} == dict(found[0].values())


def entries(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    options = LdifSource.Options(path=str(path), anchor="entryUUID", stable_for=0)
    source = LdifSource(options, CONTEXT)
    source.select(["UID", "description"])
    people = [item for item in source.read(None) if isinstance(item, Entry)]
    return {one.anchor: (one.attributes["UID"][0], one.attributes["description"]) for one in people}
