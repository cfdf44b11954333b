"""Registrars as plain processes over SQLite files, and a telephone that registers with them; first of all Kamailio."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from .slapd import free_port

DOMAIN = "sip.test"
KAMAILIO = shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
SIPP = shutil.which("sipp") or ""
_MODULE = any(Path("/usr/lib").glob("*/kamailio/modules/db_sqlite.so"))
_SCHEMAS = Path("/usr/share/kamailio/db_sqlite")
MISSING = (
    ""
    if KAMAILIO and SIPP and _MODULE
    else "needs Kamailio and sipp (Debian: apt install kamailio kamailio-sqlite-modules sip-tester)"
)
STARTS_WITHIN = 20.0

CONFIGURATION = """#!KAMAILIO
children=1
tcp_children=1
log_stderror=yes
debug=1
auto_aliases=no
disable_tcp=yes
alias="{domain}"
listen=udp:127.0.0.1:{port}
loadmodule "db_sqlite.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "auth_db.so"
modparam("auth_db", "db_url", "sqlite://{database}")
modparam("auth_db", "calculate_ha1", 0)
modparam("auth_db", "password_column", "ha1")
modparam("auth_db", "use_domain", 1)
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "use_domain", 1)
request_route {{
  if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("REGISTER")) {{
    if (!auth_check("$td", "subscriber", "1")) {{ auth_challenge("$td", "0"); exit; }}
    if (!save("location")) sl_reply_error();
    exit;
  }}
  sl_send_reply("404", "Not here");
}}
"""

_REGISTER = """<send retrans="500"><![CDATA[
REGISTER sip:{domain} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:{user}@{domain}>;tag=[call_number]
To: <sip:{user}@{domain}>
Call-ID: [call_id]
CSeq: {number} REGISTER
Contact: <sip:{user}@[local_ip]:[local_port]>
{more}Max-Forwards: 70
Expires: 60
Content-Length: 0

]]></send>
"""


class Registrar:
    """A server that telephones register with, by the rows of an SQLite file; a subclass says which, and how it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "registrar.sqlite"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the database with its tables, and the configuration."""
        raise NotImplementedError

    def command(self) -> Sequence[str | Path]:
        """Return what starts it."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Tell whether it answers."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.prepare()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        try:
            self._wait(time.monotonic() + STARTS_WITHIN)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait(self, until: float) -> None:
        assert self.process is not None
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.folder / "log").read_text(errors="replace"))
            time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def registers(self, user: str, password: str) -> bool:
        """Tell whether a telephone can register: whether 401 and then 200 is what it is answered."""
        login = f"[authentication username={user} password={password}]\n"
        first = _REGISTER.format(domain=DOMAIN, user=user, number=1, more="")
        again = _REGISTER.format(domain=DOMAIN, user=user, number=2, more=login)
        asked = '<recv response="401" auth="true" timeout="3000"/>\n'
        scenario = self.folder / "register.xml"
        scenario.write_text(
            f'<?xml version="1.0" encoding="UTF-8" ?>\n<scenario name="register">\n{first}{asked}{again}'
            '<recv response="200" timeout="3000"/>\n</scenario>\n'
        )
        command = [SIPP, f"127.0.0.1:{self.port}", "-sf", scenario, "-m", "1", "-i", "127.0.0.1"]
        command += ["-p", str(free_port()), "-nostdin", "-timeout", "6s"]
        done = subprocess.run(command, capture_output=True, check=False, cwd=self.folder, timeout=30)
        assert done.returncode in {0, 1}, done.stdout.decode(errors="replace")[-2000:]
        return done.returncode == 0


class Kamailio(Registrar):
    """Kamailio, for the subscribers of ``sip.test``."""

    def prepare(self) -> None:
        with closing(sqlite3.connect(self.file)) as database:
            for name in ("standard", "auth_db", "usrloc"):
                database.executescript((_SCHEMAS / f"{name}-create.sql").read_text())
        text = CONFIGURATION.format(domain=DOMAIN, port=self.port, database=self.file)
        (self.folder / "kamailio.cfg").write_text(text)

    def command(self) -> Sequence[str | Path]:
        return [
            *(KAMAILIO, "-DD", "-E", "-m", "16", "-M", "4", "-f", self.folder / "kamailio.cfg"),
            *("-Y", self.folder, "-P", self.folder / "pid"),
        ]

    def ready(self) -> bool:
        asking = (
            f"OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK0\r\n"
            f"From: <sip:a@{DOMAIN}>;tag=1\r\nTo: <sip:a@{DOMAIN}>\r\nCall-ID: 0\r\nCSeq: 1 OPTIONS\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.1)
            try:
                asker.connect(("127.0.0.1", self.port))
                asker.send(asking.encode())
                return bool(asker.recv(4096))
            except OSError:
                return False
