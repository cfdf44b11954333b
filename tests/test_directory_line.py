"""The whole line over a real slapd, through the command line: what goes wrong there removes nobody here."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.certificates import Authority, Certificate
from servers.slapd import MISSING, PASSWORD, PEOPLE, READER, SUFFIX, Slapd, StartSlapd, people, person
from servers.spoilers import Listener, Proxy

pytest_plugins = ("servers.fixtures",)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))

PERSONS = 600

CONFIGURATION = """
state_directory = "{folder}/state"
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["{url}"]
ca_file = "{ca}"
bind = {{ dn = "{reader}", password = "file:{folder}/password" }}
base = ["{base}"]
filter = "{filter}"
page_size = 100
connect_timeout = 2
read_timeout = 2
match = ["login"]
detain = "never"
leavers = {{ reads = 1, after = "0s" }}
[source.hq.map]
login = "uid"
display_name = "cn"
last_name = "sn"
"""


class Installation:
    """A configuration and a state directory, used as a sysadmin would."""

    def __init__(self, folder: Path, url: str, ca: Path) -> None:
        self.folder = folder
        self.settings = {"url": url, "ca": str(ca), "base": PEOPLE, "filter": "(objectClass=inetOrgPerson)"}
        password = folder / "password"
        password.touch(0o600)
        password.write_text(PASSWORD)

    def syncd(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "syncd.toml"
        told = {**self.settings, **settings}
        file.write_text(CONFIGURATION.format(folder=self.folder, reader=READER, **told))
        file.chmod(0o600)
        command = [sys.executable, "-m", "syncd", "--config", str(file), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def active(self) -> int:
        with sqlite3.connect(self.folder / "state" / "syncd.db") as database:
            query = "SELECT COUNT(*) FROM accounts WHERE active"
            (count,) = database.execute(query).fetchone()
        database.close()
        return int(count)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("line"), people(PERSONS), tls=certificate) as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, server: Slapd, authority: Authority) -> Installation:
    """Everybody of the directory has an account."""
    installation = Installation(tmp_path, server.ldaps_url, authority.path)
    first = installation.syncd("sync", "hq")
    assert (0, PERSONS) == (first.returncode, installation.active()), first.stderr
    return installation


def refused(installation: Installation, code: int, word: str, **settings: str) -> None:
    """A sync ends with ``code``, says ``word``, removes nobody; the next one with good settings is whole."""
    broken = installation.syncd("sync", "hq", **settings)
    assert code == broken.returncode, broken.stdout + broken.stderr
    assert word in broken.stdout + broken.stderr
    assert PERSONS == installation.active()


def mended(installation: Installation) -> None:
    good = installation.syncd("sync", "hq")
    assert (0, PERSONS) == (good.returncode, installation.active()), good.stdout + good.stderr


def test_a_base_that_is_empty_is_held_and_removes_nobody(installed: Installation) -> None:
    refused(installed, 3, "the source is empty", base=f"ou=empty,{SUFFIX}")
    refused(installed, 3, "the source is empty", base=f"ou=empty,{SUFFIX}")
    mended(installed)


def test_a_filter_that_finds_one_person_is_held(installed: Installation) -> None:
    refused(installed, 3, "600 were usual", filter="(&(objectClass=inetOrgPerson)(uid=u5))")
    mended(installed)


def test_a_filter_with_a_typing_error_is_a_configuration_error(installed: Installation) -> None:
    refused(installed, 78, "is no LDAP filter", filter="(objectClass=inetOrgPerson")
    mended(installed)


def test_a_base_that_does_not_exist_is_refused(installed: Installation) -> None:
    refused(installed, 77, "noSuchObject", base=f"ou=nowhere,{SUFFIX}")
    mended(installed)


def test_a_wrong_password_is_refused_and_not_shown(installed: Installation) -> None:
    (installed.folder / "password").write_text("not-the-right-one")
    refused(installed, 77, "invalidCredentials")
    shown = installed.syncd("--log-level", "debug", "sync", "hq")
    assert "not-the-right-one" not in shown.stdout + shown.stderr
    (installed.folder / "password").write_text(PASSWORD)
    mended(installed)


def test_an_untrusted_certificate_is_refused(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    stranger = Authority(tmp_path / "stranger")
    refused(installed, 77, "certificate is refused", ca=str(stranger.path))
    mended(installed)


@pytest.mark.parametrize("how", ["fin", "rst", "hang"])
@pytest.mark.parametrize("after", [6_000, 20_000, 60_000])
def test_a_connection_that_is_cut_removes_nobody(
    installed: Installation, server: Slapd, how: str, after: int
) -> None:
    with Proxy(server.tls_port, how, after) as proxy:  # type: ignore[arg-type]
        refused(installed, 69, "hq", url=f"ldaps://localhost:{proxy.port}")
    mended(installed)


@pytest.mark.parametrize(
    "limits",
    [("limits * size.soft=500 size.hard=500 size.pr=500 size.prtotal=200",), ("limits * size.prtotal=500",)],
)
def test_a_size_limit_removes_nobody(
    installed: Installation, start_slapd: StartSlapd, certificate: Certificate, limits: tuple[str, ...]
) -> None:
    limited = start_slapd(people(PERSONS), limits=limits, tls=certificate)
    refused(installed, 69, "sizeLimitExceeded", url=limited.ldaps_url)
    mended(installed)


def test_a_server_that_is_killed_while_it_answers_removes_nobody(
    installed: Installation, start_slapd: StartSlapd, certificate: Certificate
) -> None:
    doomed = start_slapd(people(PERSONS), tls=certificate)
    with Proxy(doomed.tls_port, "hang", 30_000) as proxy:
        threading.Timer(1.0, lambda: doomed.stop(signal.SIGKILL)).start()
        refused(installed, 69, "hq", url=f"ldaps://localhost:{proxy.port}")
    mended(installed)


def test_a_referral_is_not_followed_and_nobody_is_missing(
    installed: Installation, start_slapd: StartSlapd, certificate: Certificate
) -> None:
    """Half of the people are behind a referral: the second server hears nothing, and nobody is missing."""
    with Listener() as stranger:
        referral = (
            f"dn: ou=elsewhere,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
            f"ou: elsewhere\nref: ldap://127.0.0.1:{stranger.port}/ou=elsewhere,{PEOPLE}\n"
        )
        split = start_slapd([*people(PERSONS // 2), referral], tls=certificate)
        result = installed.syncd("sync", "hq", url=split.ldaps_url)
        assert (0, b"") == (stranger.connections, stranger.received)
    assert PERSONS == installed.active(), result.stdout + result.stderr


def test_what_changes_in_the_directory_changes_in_the_accounts(
    tmp_path: Path, start_slapd: StartSlapd, certificate: Certificate, authority: Authority
) -> None:
    directory = start_slapd(people(50), tls=certificate)
    installation = Installation(tmp_path, directory.ldaps_url, authority.path)
    assert 0 == installation.syncd("sync", "hq").returncode
    directory.modify(f"dn: uid=u7,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Newly-Wed\n")
    directory.modify(f"dn: uid=u8,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=u8new\ndeleteoldrdn: 1\n")
    directory.delete(f"uid=u9,{PEOPLE}")
    directory.add(person("u99"))

    shown = json.loads(installation.syncd("preview", "hq", "--json").stdout)
    assert 2 == installation.syncd("preview", "hq", "--detailed-exitcode").returncode
    assert 50 == installation.active(), "a preview changes nothing"
    assert 0 == installation.syncd("sync", "hq").returncode

    explained = installation.syncd("explain", "u8new", "--json")
    assert 0 == explained.returncode, explained.stderr
    assert "Newly-Wed" in installation.syncd("explain", "u7").stdout
    assert 50 == installation.active()
    assert 77 != len(shown)


@pytest.mark.parametrize("signals", range(6))
def test_killed_at_any_moment_the_next_sync_is_whole(
    tmp_path: Path, server: Slapd, authority: Authority, signals: int
) -> None:
    """``kill -9`` while it reads, plans or applies: the next sync ends where a clean one does."""
    installation = Installation(tmp_path, server.ldaps_url, authority.path)
    installation.syncd("check")
    command = [sys.executable, "-m", "syncd", "--config", str(tmp_path / "syncd.toml"), "sync", "hq"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.25 + 0.07 * signals)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    mended(installation)
    assert "0 applied" in installation.syncd("sync", "hq").stdout


NEEDLESS = {
    "asyncio", "click.shell_completion", "concurrent.futures", "difflib", "gssapi", "multiprocessing", "phonenumbers",
    "pydantic.networks", "rich", "schedule", "sqlite_utils", "statistics", "structlog", "syncd.distribution",
    "syncd.store.schema", "syncd_bulk", "syncd_ldap.checking", "syncd_ldap.writing",
}  # fmt: skip
"""What takes long to import and has no part in reading what has changed."""


@pytest.mark.parametrize("changed", [0, 1])
def test_an_incremental_sync_imports_nothing_that_it_does_not_need(
    tmp_path: Path, start_slapd: StartSlapd, authority: Authority, certificate: Certificate, changed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server = start_slapd(people(3), session_log=100, tls=certificate)
    installation = Installation(tmp_path, server.ldaps_url, authority.path)
    assert 0 == installation.syncd("sync", "hq").returncode
    if changed:
        server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Changed\n")
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    again = installation.syncd("sync", "hq")
    imported = {
        line.rpartition("|")[2].strip() for line in again.stderr.splitlines() if "import time:" in line
    }

    assert 0 == again.returncode, again.stderr
    assert f"changes of {changed} " in again.stdout
    assert {"ldap3", "pydantic", "syncd.pipeline.line"} <= imported
    assert set() == NEEDLESS & imported
