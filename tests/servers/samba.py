"""Samba as a domain controller of Active Directory: one process, its own loopback address, its own folder.

    with Samba(tmp_path) as domain:
        unit = domain.unit("Berlin")
        anna = domain.user("anna", unit, mail="anna@example.test")
        domain.disable(anna)

Samba's ports cannot be chosen (389, 636; 3268 and 3269 for the global catalogue), so every server has an address
of its own in 127.0.0.0/8 instead, and needs root to listen there. Nothing but LDAP runs, and if asked for Kerberos.

Making a domain takes seconds, so it is made once per machine, in the folder ``syncd-tests`` of the user's caches;
each server starts from a copy. A domain has a unit Crowd with CROWD people (more than a page of Active Directory), all of them in the group
``everybody`` there, and the user ``reader``, who may read. ``watcher`` may see who is deleted too, and what is
replicated (DirSync), and ``follower`` only the latter.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
import uuid
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import ldap3

from .certificates import Authority
from .running import Running
from .slapd import PASSWORD

REALM = "AD.EXAMPLE.TEST"
DOMAIN = "DC=ad,DC=example,DC=test"
HOST = "dc1.ad.example.test"
CROWD_UNIT = f"OU=Crowd,{DOMAIN}"
EVERYBODY = f"CN=everybody,{CROWD_UNIT}"
ADMIN = f"CN=Administrator,CN=Users,{DOMAIN}"
CONTROLLER = f"CN=DC1,OU=Domain Controllers,{DOMAIN}"
READER = f"CN=reader,CN=Users,{DOMAIN}"
WATCHER = f"CN=watcher,CN=Users,{DOMAIN}"
FOLLOWER = f"CN=follower,CN=Users,{DOMAIN}"

CROWD = 1200
"""How many people the unit Crowd has: u0, u1, ..."""

ENABLED, DISABLED = "544", "546"
"""userAccountControl of an account that needs no password (a vendor's rule)."""

TREE_DELETE = "1.2.840.113556.1.4.805"
SHOW_DELETED = "1.2.840.113556.1.4.417"

SAMBA = shutil.which("samba", path="/usr/sbin:/usr/local/sbin") or ""
PYTHON = "/usr/bin/python3"
PORTS = (389, 636, 3268, 3269)
_PARTS = (
    ("/usr/lib/python3/dist-packages", "samba/provision"),
    ("/usr/share/samba/setup", "provision.ldif"),
    ("/usr/lib", "*/samba/ldb/samldb.so"),
)


def _free_address() -> str:
    """Return a loopback address on which nobody listens to LDAP. Raises OSError."""
    for attempt in range(20):
        address = f"127.{random.randint(16, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        try:
            for port in PORTS:
                socket.create_server((address, port)).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == 19:
                raise
        else:
            break
    return address


def _missing() -> str:
    if not SAMBA or not all(any(Path(folder).glob(part)) for folder, part in _PARTS):
        return "needs a domain controller (Debian: apt install samba-ad-dc samba-ad-provision)"
    if os.geteuid():
        return "needs root, for a domain controller keeps its files and its ports as root"
    try:
        _free_address()
    except OSError as error:
        return f"needs the ports of a domain controller on an address of 127.0.0.0/8: {error}"
    return ""


MISSING = _missing()


def template(crowd: int = CROWD) -> Path:
    """Return the folder of the domain as it was made, with ``crowd`` people in the unit Crowd.

    The first who asks makes it, the others wait: for 1,200 people seconds, for 100,000 nine minutes.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-tests"
    cache.mkdir(parents=True, exist_ok=True)
    recipe = Path(__file__).with_name("samba_domain.py")
    version = subprocess.run([SAMBA, "--version"], capture_output=True, check=True).stdout
    made = cache / f"domain-{sha256(version + recipe.read_bytes()).hexdigest()[:16]}-{crowd}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            making = cache / "making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            _script(recipe, str(making), REALM, PASSWORD, str(crowd))
            making.rename(made)
    return made


def _script(file: Path, *arguments: str) -> None:
    """Run a script by the Python that Samba's own modules are for; isolated, for one called samba lies here."""
    command = [PYTHON, "-I", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


class Samba(Running):
    """One domain controller. Used in a ``with``, or by ``start`` and ``stop``.

    What changes the directory is done by its administrator, over ldaps; ldap3's exceptions tell what failed.
    """

    def __init__(
        self,
        directory: Path,
        authority: Authority | None = None,
        *,
        kerberos: bool = False,
        of: Path | None = None,
    ) -> None:
        """Copy the domain into ``directory``; the server's certificate is of ``authority``, or of a new one.

        With ``kerberos`` it gives out tickets as well, for itself under its address. ``of`` is the folder of
        a server that is stopped, to copy that one's domain.
        """
        self.directory = directory
        self.kerberos = kerberos
        self.authority = authority or Authority(directory.with_name(f"{directory.name}-authority"))
        self.address = ""
        self._connection: ldap3.Connection | None = None
        shutil.copytree(of or template(), directory, ignore=shutil.ignore_patterns("ldapi", "run", "*.sock"))

    @property
    def url(self) -> str:
        """For StartTLS: a password without TLS is refused."""
        return f"ldap://{self.address}"

    @property
    def ldaps_url(self) -> str:
        return f"ldaps://{self.address}"

    @property
    def catalogue_url(self) -> str:
        """The global catalogue, over TLS."""
        return f"ldaps://{self.address}:3269"

    def start(self) -> None:
        """Start it and wait until it answers; somebody may have taken the address meanwhile."""
        for _ in range(5):
            self.address = _free_address()
            self._configure()
            with (self.directory / "samba.log").open("ab") as log:
                # It ends by itself at the end of its standard input: it does not outlive the tests.
                self.process = subprocess.Popen(
                    [
                        *(SAMBA, "-F", "--no-process-group", "--model=single", "--debug-stdout", "-d1"),
                        *("-s", str(self.directory / "smb.conf")),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                )
            if self._answers():
                if self.kerberos:
                    name = [(ldap3.MODIFY_ADD, [f"ldap/{self.address}"])]
                    self.connection.modify(CONTROLLER, {"servicePrincipalName": name})
                return
            self.stop()
        raise RuntimeError(f"samba did not start: {(self.directory / 'samba.log').read_text()}")

    def _configure(self) -> None:
        """Write smb.conf and the certificate, both for this address; a proxy before it is believed as well."""
        here = self.directory
        certificate = self.authority.sign("dc1", f"DNS:{HOST}", f"IP:{self.address}", "IP:127.0.0.1")
        (here / "run" / "ncalrpc").mkdir(parents=True, exist_ok=True)
        settings = {
            "netbios name": "DC1",
            "workgroup": "EXAMPLE",
            "realm": REALM,
            "server role": "active directory domain controller",
            "server services": "ldap, kdc" if self.kerberos else "ldap",
            # As Active Directory has it; Samba's own default refuses a ticket even over TLS.
            "ldap server require strong auth": "allow_sasl_over_tls",
            "ldb:nosync": "yes",
            "interfaces": f"{self.address}/8",
            "bind interfaces only": "yes",
            "private dir": here / "private",
            "state directory": here / "state",
            "cache directory": here / "cache",
            "lock directory": here,
            "pid directory": here / "run",
            "ncalrpc dir": here / "run" / "ncalrpc",
            "winbindd socket directory": here / "run" / "winbindd",
            "tls cafile": certificate.authority,
            "tls certfile": certificate.certificate,
            "tls keyfile": certificate.key,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        (here / "smb.conf").write_text("\n".join(["[global]", *lines, ""]))

    def _answers(self, seconds: float = 20) -> bool:
        """Return True as soon as it accepts connections on every port, False when it has ended instead."""
        assert self.process is not None
        until = time.monotonic() + seconds
        waiting = list(PORTS)
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection((self.address, waiting[0]), 1).close()
            except OSError:
                time.sleep(0.01)
                continue
            waiting.pop(0)
            if not waiting:
                return True
        return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; with SIGKILL it has no chance to say good-bye to its clients."""
        if self._connection is not None:
            self._connection.unbind()
            self._connection = None
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process = None

    def renew(self) -> None:
        """While it is stopped: give it another invocationId, as after a restore from a backup."""
        _script(Path(__file__).with_name("samba_renewed.py"), str(self.directory))

    @property
    def connection(self) -> ldap3.Connection:
        """The administrator's connection; raises what goes wrong."""
        if self._connection is None:
            # ldap3's own check of a certificate knows no addresses; what checks it is the source under test.
            tls = ldap3.Tls(validate=ssl.CERT_NONE)
            server = ldap3.Server(self.address, use_ssl=True, tls=tls, get_info=ldap3.NONE)
            self._connection = ldap3.Connection(
                server,
                ADMIN,
                PASSWORD,
                auto_bind=ldap3.AUTO_BIND_NO_TLS,
                auto_range=False,
                return_empty_attributes=False,
                raise_exceptions=True,
            )
        return self._connection

    def add(self, dn: str, kind: str, **attributes: Any) -> str:
        """Add an entry of a class, such as ``contact``; returns its name."""
        self.connection.add(dn, kind, attributes)
        return dn

    def unit(self, name: str, base: str = DOMAIN) -> str:
        return self.add(f"OU={name},{base}", "organizationalUnit")

    def user(self, name: str, base: str, **attributes: Any) -> str:
        """Add a user who is enabled and has no password; ``name`` is the login too (20 characters at most)."""
        defaults = {"sAMAccountName": name, "sn": f"Surname {name}", "userAccountControl": ENABLED}
        return self.add(f"CN={name},{base}", "user", **(defaults | attributes))

    def group(self, name: str, base: str, *members: str) -> str:
        named = {"member": list(members)} if members else {}
        return self.add(f"CN={name},{base}", "group", sAMAccountName=name, **named)

    def modify(self, dn: str, **attributes: Any) -> None:
        """Give the attributes these values, all of them; None takes an attribute away."""
        changes: dict[str, Any] = {}
        for name, value in attributes.items():
            values = [] if value is None else value if isinstance(value, list) else [value]
            changes[name] = [(ldap3.MODIFY_REPLACE, values)]
        self.connection.modify(dn, changes)

    def disable(self, dn: str) -> None:
        self.modify(dn, userAccountControl=DISABLED)

    def enable(self, dn: str) -> None:
        self.modify(dn, userAccountControl=ENABLED)

    def password(self, dn: str, password: str) -> None:
        self.connection.extend.microsoft.modify_password(dn, password)

    def rename(self, dn: str, name: str, base: str | None = None) -> str:
        """Give an entry another common name, and with ``base`` another place; returns its new name."""
        self.connection.modify_dn(dn, f"CN={name}", new_superior=base)
        return f"CN={name},{base or dn.partition(',')[2]}"

    def delete(self, *dns: str) -> None:
        for dn in dns:
            self.connection.delete(dn)

    def delete_tree(self, dn: str) -> None:
        """Delete an entry with all below it; logins are free for others then."""
        self.connection.delete(dn, controls=[(TREE_DELETE, True, None)])

    def revive(self, guid: str, dn: str) -> None:
        """Bring back somebody who was deleted, as ``dn``."""
        shown = [(SHOW_DELETED, True, None)]
        self.connection.search(f"<GUID={guid}>", "(objectClass=*)", ldap3.BASE, controls=shown)
        deleted = self.connection.response[0]["dn"]
        changes = {
            "isDeleted": [(ldap3.MODIFY_DELETE, [])],
            "distinguishedName": [(ldap3.MODIFY_REPLACE, [dn])],
        }
        self.connection.modify(deleted, changes, controls=shown)

    def guid(self, dn: str) -> str:
        """Return the objectGUID of an entry, as people write it."""
        return str(uuid.UUID(bytes_le=self.value(dn, "objectGUID")))

    def value(self, dn: str, attribute: str, controls: Any = None) -> bytes:
        """Return the first value of an attribute of an entry."""
        return self._raw(dn, "(objectClass=*)", ldap3.BASE, attribute, controls)[0]

    def hide(self, attribute: str, dn: str, who: str) -> None:
        """Take from ``who`` the right to read an attribute of all that will be made below ``dn``."""
        schema = f"CN=Schema,CN=Configuration,{DOMAIN}"
        guid = self._raw(schema, f"(lDAPDisplayName={attribute})", ldap3.LEVEL, "schemaIDGUID")[0]
        # ACCESS_DENIED_OBJECT_ACE for children, RIGHT_DS_READ_PROPERTY (MS-DTYP, section 2.4.4.4).
        ace = struct.pack("<II", 0x10, 1) + guid + self.value(who, "objectSid")
        ace = struct.pack("<BBH", 6, 2, len(ace) + 4) + ace
        access = [("1.2.840.113556.1.4.801", True, bytes.fromhex("3003020104"))]
        old = self.value(dn, "nTSecurityDescriptor", access)
        at = struct.unpack("<I", old[16:20])[0]
        revision, size, aces = struct.unpack("<HHH", old[at : at + 6])
        new = struct.pack("<HHHH", revision, size + len(ace), aces + 1, 0) + ace + old[at + 8 : at + size]
        changes = {"nTSecurityDescriptor": [(ldap3.MODIFY_REPLACE, [old[:at] + new])]}
        self.connection.modify(dn, changes, controls=access)

    def _raw(self, dn: str, text: str, scope: str, attribute: str, controls: Any = None) -> list[bytes]:
        self.connection.search(dn, text, scope, attributes=[attribute], controls=controls)
        found = (one for one in self.connection.response if one["type"] == "searchResEntry")
        return list(next(found)["raw_attributes"][attribute])

    def add_all(self, base: str, names: Iterable[str], **attributes: Any) -> list[str]:
        """Add users; returns their names in the directory."""
        return [self.user(name, base, **attributes) for name in names]
