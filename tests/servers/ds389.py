"""389 Directory Server as a plain process: own folder, free loopback port, no systemd and no root.

    with Ds389(tmp_path / "ds") as server:
        unit = server.unit("Berlin")
        anna = server.person("anna", unit, mail="anna@example.test")
        server.modify(anna, nsAccountLock="true")

An instance is made of the package's own template of dse.ldif, once per machine, in the folder ``syncd-tests`` of the
user's caches, for its import takes seconds; each server starts from a copy. It has what the slapd of these tests has,
and below CROWDED the people u0, u1, ..., which are more than it sends to anybody by default. Everybody may read,
``WRITER`` may write. ``content_sync``: with the plugins for RFC 4533, which are off by default. With a
``certificate`` it speaks TLS as well.
"""

from __future__ import annotations

import base64
import fcntl
import getpass
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import ldap3

from .certificates import Certificate
from .running import Running
from .slapd import BASE_ENTRIES, PASSWORD, SUFFIX, free_port, people, record

ADMIN = "cn=Directory Manager"
WRITER = f"cn=writer,{SUFFIX}"
CROWDED = f"ou=crowd,{SUFFIX}"

CROWD = 2100
"""How many people CROWDED has; 2000 is nsslapd-sizelimit, 5000 nsslapd-lookthroughlimit (a vendor's rule)."""

NS_SLAPD = shutil.which("ns-slapd", path="/usr/sbin:/usr/local/sbin") or ""
DATA = Path("/usr/share/dirsrv/data")
MISSING = (
    ""
    if NS_SLAPD and (DATA / "template-dse.ldif").exists()
    else "needs 389 Directory Server (Debian: apt install 389-ds-base)"
)

FOLDERS = ("bak", "cert", "db", "inst", "ldif", "lock", "log", "run", "tmp")
BACKEND = "userRoot"
PLUGINS = ("Retro Changelog Plugin", "Content Synchronization")
SMALL = """dn: cn=bdb,cn=config,cn=ldbm database,cn=plugins,cn=config
objectClass: extensibleObject
cn: bdb
nsslapd-cache-autosize: 0
nsslapd-dbcachesize: 2000000
nsslapd-db-durable-transaction: off
nsslapd-import-cache-autosize: 0
nsslapd-import-cachesize: 16000000

"""
"""By default its cache is a share of the machine's memory, which it clears at every start."""

ACCESS = (
    '(targetattr!="userPassword || aci")(version 3.0; acl "r"; allow (read, search) userdn="ldap:///anyone";)',
    f'(targetattr="*")(version 3.0; acl "w"; allow (all) userdn="ldap:///{WRITER}";)',
)
ENTRIES = BASE_ENTRIES.replace("dc: example\n", "dc: example\n" + "".join(f"aci: {one}\n" for one in ACCESS))


def _entries() -> list[str]:
    """Return what every server has, as LDIF."""
    writer = {"objectClass": ["organizationalRole", "simpleSecurityObject"], "cn": "writer"}
    return [
        ENTRIES,
        record(WRITER, **writer, userPassword=PASSWORD),
        record(CROWDED, objectClass="organizationalUnit", ou="crowd"),
        *people(CROWD, CROWDED),
    ]


def template() -> Path:
    """Return the folder of the instance as it was made; the first who asks makes it, the others wait."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-tests"
    cache.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([NS_SLAPD, "-v"], capture_output=True, check=False).stdout
    made = cache / f"389-{sha256(version + Path(__file__).read_bytes()).hexdigest()[:16]}"
    with (cache / "lock-389").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            making = cache / "making-389"
            shutil.rmtree(making, ignore_errors=True)
            _make(making)
            making.rename(made)
    return made


def _make(folder: Path) -> None:
    """Make an instance, and import its entries."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "entries.ldif").write_text("\n".join(_entries()))
    config = _configure(folder, folder.name, 0)
    command = [NS_SLAPD, "ldif2db", "-D", str(config), "-n", BACKEND, "-i", str(folder / "entries.ldif")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(config)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def _import(certificate: Certificate, database: Path) -> None:
    """Put a certificate and its authority where the server (NSS) looks for it."""
    told, packed = str(database), str(database / "server.p12")
    given = ("-inkey", str(certificate.key), "-in", str(certificate.certificate), "-name", "Server-Cert")
    for command in (
        ("openssl", "pkcs12", "-export", *given, "-passout", "pass:", "-out", packed),
        ("certutil", "-N", "-d", told, "--empty-password"),
        ("certutil", "-A", "-d", told, "-n", "CA", "-t", "CT,,", "-a", "-i", str(certificate.authority)),
        ("pk12util", "-i", packed, "-d", told, "-W", "", "-K", ""),
    ):
        subprocess.run(command, check=True, capture_output=True)


def _configure(folder: Path, name: str, port: int, tls_port: int = 0, *, content_sync: bool = False) -> Path:
    """Make the folder of the configuration, of the templates of the package; returns it."""
    config = folder / name
    (config / "schema").mkdir(parents=True, exist_ok=True)
    (config / "schema" / "99user.ldif").write_text("dn: cn=schema\n")
    # What the package has of it says how languages are sorted, and is for root to read.
    (config / "slapd-collations.conf").touch()
    (config / "dse.ldif").write_text(_dse(folder, config, port, tls_port, content_sync=content_sync))
    return config


def _dse(folder: Path, config: Path, port: int, tls_port: int, *, content_sync: bool) -> str:
    """Return the server's configuration, which is an LDIF file."""
    salt = b"of the tests"
    values: dict[str, object] = {f"{name}_dir": folder / name for name in FOLDERS} | {
        "config_dir": config,
        "schema_dir": config / "schema",
        "db_home_dir": folder / "db",
        "db_lib": "bdb",
        "ds_bename": BACKEND,
        "ds_passwd": "{SSHA}" + base64.b64encode(sha1(PASSWORD.encode() + salt).digest() + salt).decode(),
        "ds_port": port,
        "ds_suffix": SUFFIX,
        "ds_user": getpass.getuser(),
        "fqdn": "127.0.0.1",
        "ldapi": folder / "ldapi",
        "ldapi_autobind": "off",
        "ldapi_enabled": "on",
        "rootdn": ADMIN,
    }
    text = (DATA / "template-dse.ldif").read_text() + "\n" + (DATA / "template-suffix-db.ldif").read_text()
    # Between two entries it takes exactly one empty line, and no comment.
    text = re.sub(r"\n{2,}", "\n\n", re.sub(r"(?m)^#.*\n", "", text)).strip() + "\n\n"
    text = re.sub(r"%([a-z_]+)%", lambda found: str(values[found[1]]), text)
    listening = "nsslapd-listenhost: 127.0.0.1\nnsslapd-accesslog-logging-enabled: off\n"
    if tls_port:
        listening += (
            f"nsslapd-security: on\nnsslapd-securelistenhost: 127.0.0.1\nnsslapd-secureport: {tls_port}\n"
        )
    text = text.replace("nsslapd-port:", f"{listening}nsslapd-port:", 1)
    text = text.replace("dn: cn=default indexes", SMALL + "dn: cn=default indexes", 1)
    for name in PLUGINS if content_sync else ():
        head, found, rest = text.partition(f"cn: {name}\n")
        text = head + found + rest.replace("nsslapd-pluginenabled: off", "nsslapd-pluginenabled: on", 1)
    return text


class Ds389(Running):
    """One server. Used in a ``with``, or by ``start`` and ``stop``.

    What changes the directory is done by its administrator; ldap3's exceptions tell what failed.
    """

    def __init__(
        self, directory: Path, certificate: Certificate | None = None, *, content_sync: bool = False
    ) -> None:
        self.directory = directory
        self.content_sync = content_sync
        # A semaphore of the whole machine has it, too.
        self.name = f"slapd-{uuid.uuid4().hex}"
        self.certificate = certificate
        self.port = self.tls_port = 0
        self._connection: ldap3.Connection | None = None
        shutil.copytree(template(), directory)
        if certificate:
            _import(certificate, directory / "cert")

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://localhost:{self.tls_port}"

    def start(self) -> None:
        """Start it and wait until it answers; another process may have taken a port meanwhile."""
        for _ in range(5):
            self.port = free_port()
            self.tls_port = free_port() if self.certificate else 0
            ports = (self.port, self.tls_port)
            config = _configure(self.directory, self.name, *ports, content_sync=self.content_sync)
            told = [NS_SLAPD, "-D", str(config), "-i", str(self.directory / "run" / "pid")]
            with (self.directory / "ds.log").open("ab") as log:
                self.process = subprocess.Popen([*told, "-d", "0"], stdout=log, stderr=log)
            if self.listens(self.directory / "ldapi", 30):
                return
            self.stop()
        raise RuntimeError(f"ns-slapd did not start: {(self.directory / 'log' / 'errors').read_text()}")

    def stop(self) -> None:
        """End it at once: to go in peace takes it two seconds, and nobody wants what it would write."""
        if self._connection is not None:
            self._connection.unbind()
            self._connection = None
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None
        Path(f"/dev/shm/sem.{self.name}.stats").unlink(missing_ok=True)

    @property
    def connection(self) -> ldap3.Connection:
        """The administrator's connection; raises what goes wrong."""
        if self._connection is None:
            self._connection = ldap3.Connection(
                ldap3.Server(self.url, get_info=ldap3.NONE),
                ADMIN,
                PASSWORD,
                auto_bind=ldap3.AUTO_BIND_NO_TLS,
                raise_exceptions=True,
                return_empty_attributes=False,
            )
        return self._connection

    def lets_in(self, dn: str) -> bool:
        """Tell whether somebody, whose password is that of all, may log in."""
        connection = ldap3.Connection(ldap3.Server(self.url, get_info=ldap3.NONE), dn, PASSWORD)
        try:
            return bool(connection.bind())
        finally:
            connection.unbind()

    def add(self, dn: str, kind: str | list[str], **attributes: Any) -> str:
        """Add an entry of a class; returns its name."""
        self.connection.add(dn, kind, attributes)
        return dn

    def unit(self, name: str, base: str = SUFFIX) -> str:
        return self.add(f"ou={name},{base}", "organizationalUnit")

    def person(self, uid: str, base: str, **attributes: Any) -> str:
        """Add an inetOrgPerson; returns its name."""
        return self.add(
            f"uid={uid},{base}", "inetOrgPerson", **{"cn": uid, "sn": f"Surname {uid}"} | attributes
        )

    def identity(self, base: str, **attributes: str) -> str:
        """Add somebody to bind as, who is no person; returns the name. ``attributes`` may be limits."""
        kind = ["organizationalRole", "simpleSecurityObject"]
        return self.add(f"cn=reader,{base}", kind, userPassword=PASSWORD, **attributes)

    def hide(self, attribute: str, dn: str) -> None:
        """Take from everybody the right to an attribute of an entry, and of all below it."""
        rule = f'(targetattr="{attribute}")(version 3.0; acl "hidden"; deny (all) userdn="ldap:///anyone";)'
        self.modify(dn, aci=rule)

    def modify(self, dn: str, **attributes: str | Sequence[str] | None) -> None:
        """Give the attributes these values, all of them; None takes an attribute away."""
        changes = {}
        for name, value in attributes.items():
            values = [] if value is None else [value] if isinstance(value, str) else [*value]
            changes[name.replace("_", "-")] = [(ldap3.MODIFY_REPLACE, values)]
        self.connection.modify(dn, changes)

    def rename(self, dn: str, rdn: str, base: str | None = None) -> str:
        """Give an entry another name, and with ``base`` another place; returns its new name."""
        self.connection.modify_dn(dn, rdn, new_superior=base)
        return f"{rdn},{base or dn.partition(',')[2]}"

    def delete(self, *dns: str) -> None:
        for dn in dns:
            self.connection.delete(dn)

    def values(self, dn: str, *attributes: str) -> dict[str, list[str]]:
        """Return attributes of an entry, those that it has."""
        self.connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=list(attributes))
        (found,) = self.connection.response
        return {name: [one.decode() for one in some] for name, some in found["raw_attributes"].items()}

    def anchor(self, dn: str) -> str:
        """Return the nsUniqueId of an entry."""
        return self.values(dn, "nsUniqueId")["nsUniqueId"][0]

    def named(self, anchor: str, base: str = SUFFIX) -> str:
        """Return the name of the entry with this nsUniqueId."""
        self.connection.search(base, f"(nsUniqueId={anchor})", attributes=["1.1"])
        (found,) = self.connection.response
        return str(found["dn"])

    def announces(self, control: str) -> bool:
        """Tell whether its root DSE offers a control."""
        return control in self.values("", "supportedControl")["supportedControl"]
