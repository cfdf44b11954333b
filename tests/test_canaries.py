"""Twenty secrets in all the places where secrets can be, and those that syncd makes: none of them ever shows."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from servers.certificates import Authority, Certificate
from servers.slapd import MISSING, PEOPLE, READER, StartSlapd, people, person

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
sources = ["hq"]
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
        self.settings = {"folder": str(folder), "base": PEOPLE, "bind": READER, "more": "", **settings}
        self.said: list[str] = []
        self.codes: list[int] = []

    def secret(self, name: str, *, mode: int = 0o600) -> str:
        file = self.folder / f"{name}.secret"
        file.write_text(CANARIES[name] + "\n")
        file.chmod(mode)
        return f"file:{file}"

    def syncd(
        self, *words: str, environ: dict[str, str] | None = None, raw: str = "", **settings: str
    ) -> int:
        file = self.folder / "syncd.toml"
        file.write_text(CONFIGURATION.format(**{**self.settings, **settings}) + raw)
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
        {"more": 'pin = "description"'},
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

    told = "\n".join(here.said).encode()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
    kept += (tmp_path / "copy.db").read_bytes() + (tmp_path / "list.csv").read_bytes()
    shown = {
        name for name, secret in CANARIES.items() for form in forms(secret) if form in told or form in kept
    }
    assert b"run_applied" in told
    assert set() == shown
