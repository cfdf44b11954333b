"""Asterisk as a plain process over an SQLite file: PJSIP realtime, as the platform ``asterisk`` writes it.

Debian 12 and 13 have no Asterisk, Debian 11 has 16.28. ``mmdebstrap`` unpacks that and its libraries, once, from the mirror
of this system into the folder ``syncd-tests`` of the user's caches. Nothing of it is installed, and it needs no root of
its own: it is run by the loader of its own C library, with all that it writes in a folder of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from .machine import cache_folder, exclusively
from .nodes import sqlite_database
from .sip import SIPP, Registrar

RELEASE = "bullseye"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_MIRROR = re.compile(r"^[^#\n]*?(https?://\S+/debian/?)(?=\s|$)", re.MULTILINE)
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))

_MODULES = (
    *(
        "res_sorcery_config",
        "res_sorcery_memory",
        "res_sorcery_astdb",
        "res_sorcery_realtime",
        "res_pjproject",
    ),
    *("res_timing_timerfd", "res_pjsip", "res_pjsip_session", "res_pjsip_registrar"),
    *("res_pjsip_authenticator_digest", "res_pjsip_endpoint_identifier_user"),
)
_PLACES = ("astdbdir", "astkeydir", "astspooldir", "astlogdir", "astrundir", "astagidir")
_FILES = {
    "modules.conf": "[modules]\nautoload=no\npreload => res_config_sqlite3.so\n"
    + "".join(f"load => {name}.so\n" for name in _MODULES),
    "res_config_sqlite3.conf": "[general]\n[realtime]\ndbfile => {database}\nbatch=0\n",
    "extconfig.conf": "[settings]\n"
    + "".join(f"{name} => sqlite3,realtime\n" for name in ("ps_endpoints", "ps_auths", "ps_aors")),
    "sorcery.conf": "[res_pjsip]\nendpoint=realtime,ps_endpoints\nauth=realtime,ps_auths\naor=realtime,ps_aors\n",
    "pjsip.conf": "[udp]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:{port}\n"
    "[global]\ntype=global\nendpoint_identifier_order=username\n",
}


class Unobtainable(Exception):
    """There is no Asterisk for this system, for the reason told."""


def files() -> Path:
    """Return the folder with Asterisk and its libraries, made if it is not there yet; raises Unobtainable."""
    if not SIPP:
        raise Unobtainable("needs sipp (Debian: apt install sip-tester)")
    made = cache_folder() / f"asterisk-{RELEASE}"
    with exclusively(cache_folder() / "asterisk.lock"):
        if not made.exists():
            _make(made)
    return made


def _make(folder: Path) -> None:
    if not shutil.which("mmdebstrap") or not _KEYRING.exists():
        raise Unobtainable("needs mmdebstrap and Debian's keys (Debian: apt install mmdebstrap)")
    texts = [path.read_text("utf-8") for path in _SOURCES if path.is_file()]
    mirror = next((found[1] for text in texts if (found := _MIRROR.search(text))), None)
    if mirror is None:
        raise Unobtainable("the package sources of this system name no mirror of Debian")
    half = folder.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    command = ["mmdebstrap", "--variant=extract", "--include=asterisk", RELEASE, half]
    command.append(f"deb [signed-by={_KEYRING}] {mirror} {RELEASE} main")
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if found.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        raise Unobtainable(f"Asterisk cannot be had: mmdebstrap: {found.stderr.strip()[-500:]}")
    half.rename(folder)


class Asterisk(Registrar):
    """Asterisk, for the endpoints of its database; ``files`` is where it was unpacked."""

    def __init__(self, folder: Path, files: Path) -> None:
        super().__init__(folder)
        self.files = files
        # A socket's path has 107 characters at most, which pytest's folders can exceed.
        self.home = Path(tempfile.mkdtemp(prefix="syncd-"))

    def prepare(self) -> None:
        sqlite_database(self.file)
        places = dict.fromkeys(_PLACES, self.home) | {
            "astetcdir": self.home,
            "astmoddir": self.files / "usr/lib/asterisk/modules",
            "astvarlibdir": self.files / "var/lib/asterisk",
            "astdatadir": self.files / "usr/share/asterisk",
        }
        lines = "".join(f"{name} => {path}\n" for name, path in places.items())
        (self.home / "asterisk.conf").write_text(f"[directories]\n{lines}")
        for name, text in _FILES.items():
            (self.home / name).write_text(
                text.replace("{database}", str(self.file)).replace("{port}", str(self.port))
            )

    def command(self) -> Sequence[str | Path]:
        return [*self._program(), "-f"]

    def ready(self) -> bool:
        return self._asked("core waitfullybooted").returncode == 0

    def shows(self, number: str) -> dict[str, str]:
        """Return the settings of an endpoint as Asterisk itself understands them."""
        said = self._asked(f"pjsip show endpoint {number}").stdout
        return dict(re.findall(r"^ (\w+) +: (.*?)\s*$", said, re.MULTILINE))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self.home, ignore_errors=True)

    def _asked(self, question: str) -> subprocess.CompletedProcess[str]:
        command = [*self._program(), "-r", "-x", question]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def _program(self) -> list[str | Path]:
        (loader,) = self.files.glob("lib/*/ld-[0-9]*.so")
        libraries = [loader.parent, self.files / "usr/lib" / loader.parent.name, self.files / "usr/lib"]
        return [
            *(loader, "--library-path", ":".join(map(str, libraries))),
            *(self.files / "usr/sbin/asterisk", "-C", self.home / "asterisk.conf"),
        ]
