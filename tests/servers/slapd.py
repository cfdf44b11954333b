"""OpenLDAP's slapd as a plain process: own folder, free loopback ports, stopped by its own process id.

    with Slapd(tmp_path, people(2000), lines=["sizelimit size.hard=500"], tls=True) as server:
        server.modify("dn: uid=u1,ou=people,dc=example,dc=test\nchangetype: modify\n...")

The entries are loaded before it starts, so their order and their number are known; a folder that holds a
database already is used as it is. ``limits`` and ``access`` stand in the database section of its configuration,
``lines`` before it. ``session_log``: it is a provider of RFC 4533 that remembers so many deletions.
"""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from syncd_ldap.dn import escape

from .certificates import Authority, Certificate
from .running import Running

SUFFIX = "dc=example,dc=test"
PEOPLE = f"ou=people,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
READER = f"cn=reader,{SUFFIX}"
PASSWORD = "S3cret-of-the-reader"

CROWD = 2000
"""How many people the fixture ``crowd`` has."""

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/local/libexec:/usr/bin") or ""
SCHEMAS = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
MISSING = (
    ""
    if SLAPD and shutil.which("ldapmodify")
    else "needs slapd and ldap-utils (Debian: apt install slapd ldap-utils)"
)

AD_SCHEMA = """
attributetype ( 1.3.6.1.4.1.4203.666.11.999.1 NAME 'supportedCapabilities' EQUALITY objectIdentifierMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.38 )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.146 NAME 'objectSid' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP top AUXILIARY
  MAY ( objectGUID $ objectSid $ userAccountControl $ sAMAccountName ) )
"""
"""Enough of Active Directory's schema for ``Slapd(..., active_directory=True)``."""

AD_ROOT = "dn:\nsupportedCapabilities: 1.2.840.113556.1.4.800\n"
"""What makes a client take a server for Active Directory: the capability in its root DSE."""

BASE_ENTRIES = f"""dn: {SUFFIX}
objectClass: domain
dc: example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=empty,{SUFFIX}
objectClass: organizationalUnit
ou: empty

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {PASSWORD}
"""


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def record(dn: str, **attributes: str | bytes | Sequence[str | bytes]) -> str:
    """Return one LDIF record; every value is written in base64, so that it may hold anything."""
    lines = [f"dn:: {base64.b64encode(dn.encode()).decode()}"]
    for name, values in attributes.items():
        for value in [values] if isinstance(values, (str, bytes)) else values:
            raw = value.encode() if isinstance(value, str) else value
            lines.append(f"{name}:: {base64.b64encode(raw).decode()}")
    return "\n".join(lines) + "\n"


def person(uid: str, base: str = PEOPLE, **attributes: str | bytes | Sequence[str | bytes]) -> str:
    """Return the LDIF of an inetOrgPerson; ``attributes`` add to, or replace, what it has."""
    defaults: dict[str, str | bytes | Sequence[str | bytes]] = {
        "objectClass": ["inetOrgPerson"],
        "uid": uid,
        "cn": f"Person {uid}",
        "sn": f"Surname {uid}",
        "mail": f"{uid}@example.test",
    }
    return record(f"uid={escape(uid)},{base}", **(defaults | attributes))


def people(count: int, base: str = PEOPLE) -> Iterator[str]:
    """Yield the LDIF of u0, u1, ..."""
    return (person(f"u{number}", base) for number in range(count))


def run(command: Sequence[str], text: str = "") -> None:
    """Run a program of OpenLDAP; if it fails, raise with what it said."""
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.decode()}{done.stderr.decode()}")


class Slapd(Running):
    """One slapd. Used in a ``with``, or by ``start`` and ``stop``."""

    def __init__(
        self,
        directory: Path,
        entries: Iterable[str] = (),
        *,
        lines: Iterable[str] = (),
        limits: Iterable[str] = ("limits * size=unlimited",),
        access: Iterable[str] = ("access to attrs=userPassword by anonymous auth", "access to * by * read"),
        tls: bool | Certificate = False,
        active_directory: bool = False,
        session_log: int | None = None,
    ) -> None:
        self.directory = directory
        self.port, self.tls_port = free_port(), free_port()
        if tls is True:
            tls = Authority(directory / "tls").sign("server", "DNS:localhost", "IP:127.0.0.1")
        self.certificate = tls or None
        loaded = (directory / "db").is_dir()
        (directory / "db").mkdir(parents=True, exist_ok=True)
        overlay = (
            ()
            if session_log is None
            else ("index entryCSN eq", "overlay syncprov", f"syncprov-sessionlog {session_log}")
        )
        self.configure(lines, (*limits, *overlay), access, active_directory=active_directory)
        if not loaded:
            self.load(entries)

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def ldapi_url(self) -> str:
        return "ldapi://" + quote(str(self.directory / "ldapi"), safe="")

    def configure(
        self, lines: Iterable[str], limits: Iterable[str], access: Iterable[str], *, active_directory: bool
    ) -> None:
        """Write slapd.conf; ``lines`` come before the database, ``limits`` and ``access`` inside it."""
        text = [f"include {SCHEMAS}/{name}.schema" for name in ("core", "cosine", "inetorgperson")]
        if active_directory:
            (self.directory / "ad.schema").write_text(AD_SCHEMA)
            (self.directory / "root.ldif").write_text(AD_ROOT)
            text += [f"include {self.directory}/ad.schema", f"rootDSE {self.directory}/root.ldif"]
        if MODULES.is_dir():
            text += [f"modulepath {MODULES}", "moduleload back_mdb", "moduleload syncprov"]
        text.append(f"pidfile {self.directory}/slapd.pid")
        if self.certificate:
            text += [
                f"TLSCACertificateFile {self.certificate.authority}",
                f"TLSCertificateFile {self.certificate.certificate}",
                f"TLSCertificateKeyFile {self.certificate.key}",
                "TLSVerifyClient never",
            ]
        text += [*lines, "database mdb", "maxsize 17179869184", f'suffix "{SUFFIX}"', f'rootdn "{ADMIN}"']
        text += [f"rootpw {PASSWORD}", f"directory {self.directory}/db", "dbnosync"]
        text += ["index objectClass,entryUUID,uid eq", *limits, *access]
        (self.directory / "slapd.conf").write_text("\n".join(text) + "\n")

    def load(self, entries: Iterable[str]) -> None:
        """Fill the empty database: the suffix, two units, the reader, then ``entries``."""
        source = self.directory / "entries.ldif"
        with source.open("w") as file:
            file.write(BASE_ENTRIES)
            file.writelines(f"\n{entry}" for entry in entries)
        # -w: the database knows its contextCSN from the first moment.
        command = [
            SLAPD,
            "-T",
            "add",
            "-q",
            "-w",
            "-f",
            str(self.directory / "slapd.conf"),
            "-l",
            str(source),
        ]
        run(command)

    def start(self) -> None:
        """Start it and wait until it answers; another process may have taken a port meanwhile."""
        for _ in range(5):
            # The socket comes last: once that answers, this very process has all of its ports.
            urls = [f"{self.url}/", f"{self.ldapi_url}/"]
            if self.certificate:
                urls.insert(0, f"ldaps://127.0.0.1:{self.tls_port}/")
            (self.directory / "ldapi").unlink(missing_ok=True)
            log = (self.directory / "slapd.log").open("ab")
            with log:
                self.process = subprocess.Popen(
                    [SLAPD, "-d", "0", "-f", str(self.directory / "slapd.conf"), "-h", " ".join(urls)],
                    stdout=log,
                    stderr=log,
                )
            if self.listens(self.directory / "ldapi", 10):
                return
            self.stop()
            self.port, self.tls_port = free_port(), free_port()
        raise RuntimeError(f"slapd did not start: {(self.directory / 'slapd.log').read_text()}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; with SIGKILL it has no chance to say good-bye to its clients."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process = None

    def modify(self, ldif: str) -> None:
        """Change it by LDIF change records, as its administrator."""
        command = ["ldapmodify", "-x", "-H", self.ldapi_url, "-D", ADMIN, "-w", PASSWORD]
        run(command, ldif)

    def add(self, *entries: str) -> None:
        self.modify("\n".join(entry.replace("\n", "\nchangetype: add\n", 1) for entry in entries))

    def delete(self, *dns: str) -> None:
        self.modify("\n".join(f"dn: {dn}\nchangetype: delete\n" for dn in dns))


StartSlapd: TypeAlias = Callable[..., Slapd]
"""What the fixture ``start_slapd`` is: takes what Slapd takes, but the folder."""
