"""Secrets in all the places where they can be, those that syncd makes, and those that sources say: none ever shows."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from servers.certificates import Authority, Certificate
from servers.slapd import ADMIN, MISSING, PASSWORD, PEOPLE, READER, StartSlapd, people, person

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

NAMES = (
    "good",
    "bind_file",
    "wrong_bind",
    "old_file",
    "wide_file",
    "env",
    "env_override",
    "literal",
    "literal_platform",
    "url_password",
    "option_typo",
    "toml_error",
    "credential",
    "directory_hash",
    "unmapped_pin",
    "reference_of_nobody",
    "inline",
    "typed_password",
    "typed_pin",
    "mapped_constant",
    "mapped_default",
)
CANARIES = {name: f"canary-{name}-{os.urandom(6).hex()}" for name in NAMES}

CONFIGURATION = """
state_directory = "{folder}/state"
secrets_key = "file:{folder}/key"
[template.desk]
generate = {{ password = "password:24", pin = "digits:12" }}
[role.desk]
template = "desk"
[enterprise.acme]
sources = [{sources}]
[source.hq]
type = "ldap"
role = "desk"
url = ["{url}"]
ca_file = "{ca}"
bind = {{ dn = "{bind}", password = "{password}" }}
base = ["{base}"]
filter = "(objectClass=inetOrgPerson)"
match = ["login"]
detain = "never"
[source.hq.map]
login = "uid"
display_name = "cn"
last_name = "sn"
{more}
[platform.list]
type = "csv"
path = "{folder}/list.csv"
columns = ["login", "display_name"]
"""


class Watched:
    """An installation whose every word is kept."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {
            "folder": str(folder),
            "base": PEOPLE,
            "bind": READER,
            "more": "",
            "sources": '"hq"',
            **settings,
        }
        self.said: list[str] = []
        self.codes: list[int] = []
        self.more = ""

    def secret(self, name: str, *, mode: int = 0o600) -> str:
        file = self.folder / f"{name}.secret"
        file.write_text(CANARIES[name] + "\n")
        file.chmod(mode)
        return f"file:{file}"

    def syncd(
        self, *words: str, environ: dict[str, str] | None = None, raw: str = "", **settings: str
    ) -> int:
        file = self.folder / "syncd.toml"
        file.write_text(CONFIGURATION.format(**{**self.settings, **settings}) + self.more + raw)
        file.chmod(0o600)
        command = [sys.executable, "-m", "syncd", "--config", str(file), "--log-level", "debug", *words]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **(environ or {})},
        )
        self.said += [done.stdout, done.stderr]
        self.codes.append(done.returncode)
        return done.returncode


def seen(here: Watched, account: str, attribute: str) -> str:
    """What the one verb shows that may show it; what it said is not kept."""
    assert 0 == here.syncd("secrets", "show", account, attribute, "--why", "a test"), here.said[-2:]
    value = here.said[-2].strip()
    assert value not in here.said[-1]
    here.said[-2] = ""
    return value


def forms(secret: str) -> list[bytes]:
    """A secret as it may come out: plain, percent-encoded, base64 at any offset."""
    found = [secret.encode(), quote(secret, safe="").encode()]
    for shift in range(3):
        whole = base64.b64encode(b"x" * shift + secret.encode())
        found.append(whole[4 if shift else 0 : -4])
    return found


def test_no_secret_ever_shows(
    tmp_path: Path, start_slapd: StartSlapd, certificate: Certificate, authority: Authority
) -> None:
    """After every success and every failure, at the wordiest log level: in no output, log, file or database."""
    knower = person("knower", userPassword=CANARIES["directory_hash"], description=CANARIES["unmapped_pin"])
    reader = f"cn=canary,{PEOPLE}"
    account = (
        f"dn: {reader}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: canary\n"
        f"userPassword: {CANARIES['good']}\n"
    )
    server = start_slapd([*people(20), knower, account], tls=certificate)
    good = {"url": server.ldaps_url, "ca": str(authority.path), "bind": reader}
    here = Watched(tmp_path, **good)
    here.settings["password"] = here.secret("good")
    assert 0 == here.syncd("secrets", "key", str(tmp_path / "key"))

    for words in (("check", "--connect"), ("preview", "hq", "--json"), ("sync",), ("explain", "u1"), ("runs", "1"),
                  ("config", "show", "--origin"), ("config", "show", "--json"), ("verify",), ("queue", "list"),
                  ("accounts", "list", "--json"), ("db", "backup", str(tmp_path / "copy.db"))):  # fmt: skip
        assert 0 == here.syncd(*words), (words, here.said[-2:])
    for name in ("wrong_bind", "old_file"):
        assert 77 == here.syncd("sync", password=here.secret(name)), here.said[-2:]
    environ = {"CANARY": CANARIES["env"], "CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "hq").write_text(CANARIES["credential"])
    (tmp_path / "hq").chmod(0o600)
    here.syncd("sync", password="env:CANARY", environ=environ)
    here.syncd("sync", password="credential:hq", environ=environ)
    override = {"SYNCD_SOURCE__HQ__BIND__PASSWORD": CANARIES["env_override"]}
    here.syncd("check", "--connect", environ=override)
    for settings in (
        {"password": here.secret("wide_file", mode=0o666)},
        {"password": CANARIES["literal"]},
        {"password": f"vault:{CANARIES['reference_of_nobody']}"},
        {"url": f"ldaps://reader:{CANARIES['url_password']}@localhost"},
        {"more": f'pin = {{ from = "description", default = "{CANARIES["mapped_default"]}" }}'},
        {"more": f'login = {{ constant = "{CANARIES["inline"]}", via = "no list" }}'},
    ):
        assert here.syncd("check", "--connect", **settings), settings
    assert here.syncd("check", more=f'password = {{ constant = "{CANARIES["mapped_constant"]}" }}')
    assert here.syncd("accounts", "add", "acme", "login=zoe", f"password={CANARIES['typed_password']}")
    assert here.syncd("accounts", "edit", "u1", f"pin={CANARIES['typed_pin']}")
    here.syncd("check", raw=f'\npassword = "{CANARIES["option_typo"]}"\n')
    here.syncd("check", raw=f'\n[source.two]\ntype = "csv"\npassword = "{CANARIES["literal_platform"]}"\n')
    here.syncd("check", raw=f'\nbroken = "{CANARIES["toml_error"]}')
    here.syncd("sync", password=here.secret("bind_file"), url="ldaps://localhost:9")

    made = [seen(here, "u1", name) for name in ("password", "pin")]
    assert 0 == here.syncd("secrets", "renew", "u1", "password")
    made += [seen(here, "u1", "password"), seen(here, "u2", "pin"), (tmp_path / "key").read_text().strip()]
    assert 0 == here.syncd("secrets", "key", str(tmp_path / "key"))
    assert 0 == here.syncd("secrets", "rotate")
    (tmp_path / "key").write_text(made[-1][:-6])
    assert here.syncd("check")
    assert here.syncd("accounts", "add", "acme", "login=eve", "--role", "desk")
    CANARIES.update((f"made_{number}", value) for number, value in enumerate(made))

    assert b"run_applied" in "\n".join(here.said).encode()
    assert set() == leaked(here, CANARIES)


def leaked(here: Watched, secrets: Mapping[str, str]) -> set[str]:
    """Return the names of those that stand in an output, or in a file that is not theirs."""
    told = "\n".join(here.said).encode()
    kept = b"".join(file.read_bytes() for file in (here.folder / "state").rglob("*") if file.is_file())
    kept += (here.folder / "copy.db").read_bytes() + (here.folder / "list.csv").read_bytes()
    return {
        name for name, secret in secrets.items() for form in forms(secret) if form in told or form in kept
    }


FILES = """
[source.hr]
type = "csv"
path = "{folder}/hr.csv"
anchor = "id"
stable_for = 0
role = "desk"
match = ["login"]
detain = "never"
[source.hr.map]
login = "id"
display_name = "id"
pin = "code"
password = "word"
[source.old]
type = "ldif"
path = "{folder}/old.ldif"
anchor = "uid"
stable_for = 0
role = "desk"
match = ["login"]
detain = "never"
[source.old.map]
login = "uid"
display_name = "cn"
password = "description"
pin = "employeeNumber"
[source.hq.limits]
update = "off"
"""


def test_no_secret_that_a_source_says_ever_shows(
    tmp_path: Path, start_slapd: StartSlapd, certificate: Certificate, authority: Authority
) -> None:
    """From a directory and from files, through the whole life of an account, at the wordiest log level."""
    names = ("pin", "next_pin", "last_pin", "csv_pin", "ldif_pin")
    said = {name: f"{int.from_bytes(os.urandom(5)):015}" for name in names}
    words = ("word", "next_word", "bad_pin", "bad_csv_pin", "csv_word", "ldif_word", "torn_word", "bad_ldif")
    said |= {name: f"canary-{name}-{os.urandom(6).hex()}" for name in words}
    eva = person("eva", employeeNumber=said["pin"], description=said["word"])
    bad = person("bad", employeeNumber=said["bad_pin"], description=said["word"])
    server = start_slapd([eva, bad], tls=certificate)
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "hr.csv").write_text(
        f"id,code,word\nmax,{said['csv_pin']},{said['csv_word']}\nida,{said['bad_csv_pin']},x\n"
    )
    (tmp_path / "old.ldif").write_text(
        person("leo", employeeNumber=said["ldif_pin"], description=said["ldif_word"])
    )
    more = 'pin = { from = "employeeNumber", policy = "detain" }\n'
    more += 'password = { from = "description", policy = "always" }'
    here = Watched(
        tmp_path,
        url=server.ldaps_url,
        ca=str(authority.path),
        bind=ADMIN,
        password=f"file:{tmp_path}/password",
        sources='"hq", "hr", "old"',
        more=more,
    )

    here.more = FILES.format(folder=tmp_path)
    assert 0 == here.syncd("secrets", "key", str(tmp_path / "key"))
    for line in (("check", "--connect", "--show"), ("preview", "hr", "--json"), ("sync",), ("explain", "eva"),
                 ("runs", "1", "--json"), ("accounts", "show", "eva", "--json"), ("verify",)):  # fmt: skip
        assert 0 == here.syncd(*line), (line, here.said[-2:])
    values = {
        login: [seen(here, login, name) for name in ("pin", "password")] for login in ("eva", "max", "leo")
    }
    assert [said["pin"], said["word"]] == values["eva"]
    assert [said["csv_pin"], said["csv_word"]] == values["max"]
    assert [said["ldif_pin"], said["ldif_word"]] == values["leo"]
    assert said["bad_pin"] != seen(here, "bad", "pin")

    for pin, word in (("next_pin", "next_word"), ("last_pin", "word")):
        change = f"dn: uid=eva,{PEOPLE}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: {said[pin]}\n"
        server.modify(f"{change}-\nreplace: description\ndescription: {said[word]}\n")
        here.syncd("sync", "hq")
    here.syncd("queue", "list", "--json")
    (number,) = (str(one["operation"]) for one in json.loads(here.said[-2])["operations"])
    for line in (("preview", "hq"), ("queue", "show", number), ("queue", "show", number, "--json"),
                 ("queue", "edit", number, "last_name=Berg"), ("secrets", "key", str(tmp_path / "key")),
                 ("secrets", "rotate")):  # fmt: skip
        here.syncd(*line)
    assert said["pin"] == seen(here, "eva", "pin")
    here.syncd("queue", "list", "--json")
    for one in json.loads(here.said[-2])["operations"]:
        assert 0 == here.syncd("queue", "release", str(one["operation"]), "--yes"), here.said[-2:]
    assert said["last_pin"] == seen(here, "eva", "pin")
    assert 0 == here.syncd("runs", "--json")
    last = json.loads(here.said[-2])["runs"][0]["run"]
    assert 0 == here.syncd("undo", str(last), "--yes"), here.said[-2:]
    assert said["pin"] == seen(here, "eva", "pin")

    (tmp_path / "hr.csv").write_text(f'id,code,word\nmax,1,"{said["torn_word"]}\nida,2,x\n')
    (tmp_path / "old.ldif").write_text(f"dn: uid=leo\nuid: leo\ndescription:: {said['bad_ldif']}\n")
    assert here.syncd("check", "--connect", "--show")
    assert here.syncd("sync")
    (tmp_path / "key").rename(tmp_path / "lost")
    assert here.syncd("sync")
    (tmp_path / "lost").rename(tmp_path / "key")
    assert 0 == here.syncd("db", "backup", str(tmp_path / "copy.db"))

    assert set() == leaked(here, said)
