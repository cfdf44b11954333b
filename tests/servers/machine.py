"""A machine of its own with systemd as process 1: a small Debian in a container, thrown away afterwards.

Needs root, systemd-container and mmdebstrap. Its files are made once by ``mmdebstrap`` from the package sources of this
system, and kept in ``$XDG_CACHE_HOME/syncd-tests`` (else ``~/.cache``); each machine starts from them afresh,
and what is changed in it lives in memory. It has no network but its own loopback, or (``outside``) that of this
system, with the servers that listen there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "procps", "libsystemd0")
"""What the machine has, besides what every Debian has."""

_MASKED = ("console-getty.service", "getty.target", "systemd-logind.service", "e2scrub_all.timer")
_MASKED_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer")
_KEPT = 3600  # seconds that the files with another package stay, as somebody may be using them
_PATIENCE = 60.0  # seconds, for anything that is waited for


def missing() -> str:
    """Return why there can be no machine here, or nothing."""
    if os.geteuid() != 0:
        return "a machine needs root"
    for program in ("systemd-nspawn", "mmdebstrap", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return ""


MISSING = missing()


class Unbootable(Exception):
    """No machine can be had on this system, for the reason told."""


def files() -> Path:
    """Return the folder with the files of a machine, made if it is not there yet; raises Unbootable."""
    release = _release()
    cache = cache_folder()
    made = cache / f"debian-{release}-{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(PACKAGES)).hex[:8]}"
    with exclusively(cache / "lock"):
        if not made.exists():
            _make(made, release)
    return made


def cache_folder() -> Path:
    """Return where the tests keep what takes long to make."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "syncd-tests"


def _release() -> str:
    for line in Path("/etc/os-release").read_text("utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise Unbootable("/etc/os-release names no release of Debian")


def _make(folder: Path, release: str) -> None:
    half = folder.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    base = [str(one) for one in sources if one.name in {"sources.list", "debian.sources"} and one.is_file()]
    command = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        release,
        str(half),
        *base,
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if found.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        raise Unbootable(f"mmdebstrap failed: {found.stderr.strip()[-500:]}")
    for unit in (*_MASKED, *_MASKED_TIMERS):
        (half / "etc/systemd/system" / unit).symlink_to("/dev/null")
    half.rename(folder)


@contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Hold ``lock`` among the processes of this test run, and of others."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def built_package(base: Path) -> Path:
    """Return the Debian package of this tree; ``base`` is the test run's own folder, or a worker's in it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    folder = (base.parent if run else base) / f"package{run}"
    with exclusively(folder / "lock"):
        if not list(folder.glob("*.deb")):
            root = Path(__file__).parent.parent.parent
            command = [root / "packaging" / "build-deb", folder / "half"]
            found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            assert found.returncode == 0, f"packaging/build-deb failed:\n{found.stdout}{found.stderr}"
            for package in (folder / "half").glob("*.deb"):
                package.rename(folder / package.name)
    return next(folder.glob("*.deb"))


def installed(package: Path) -> Path:
    """Return the folder with the files of a machine on which a Debian package is installed; raises Unbootable."""
    bare = files()
    made = bare.with_name(f"installed-{hashlib.sha256(package.read_bytes()).hexdigest()[:16]}")
    with exclusively(bare.parent / "lock"):
        if not made.exists():
            for old in bare.parent.glob("installed-*"):
                if time.time() - old.stat().st_mtime > _KEPT:
                    shutil.rmtree(old, ignore_errors=True)
            half = made.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            subprocess.run(["cp", "--archive", bare, half], check=True, timeout=300)
            shutil.copy(package, half / "root" / "package.deb")
            inside = [
                "systemd-nspawn",
                "--quiet",
                "--register=no",
                "--keep-unit",
                "--pipe",
                f"--directory={half}",
            ]
            command = [*inside, "dpkg", "--install", "/root/package.deb"]
            found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert found.returncode == 0, f"the package cannot be installed:\n{found.stdout}{found.stderr}"
            half.rename(made)
            os.utime(made)
    return made


class Machine:
    """A booted machine that begins with ``files``; as a context manager it is switched off at the end.

    Raises Unbootable.
    """

    def __init__(self, folder: Path, files: Path, *, outside: bool = False) -> None:
        self._log = folder / "console"
        self._files = files
        self._network = [] if outside else ["--private-network"]
        self._container: subprocess.Popen[bytes] | None = None
        self._first = 0

    def __enter__(self) -> Self:
        name = f"syncd-{uuid.uuid4().hex[:12]}"
        command = ["systemd-nspawn", "--quiet", f"--directory={self._files}", f"--machine={name}"]
        command += ["--volatile=overlay", "--read-only", "--boot", *self._network, "--register=no"]
        command += ["--keep-unit", "--console=read-only", "--link-journal=no"]
        with self._log.open("wb") as log:
            self._container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._await_boot()
        except BaseException:
            self._switch_off()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._switch_off()

    def _await_boot(self) -> None:
        assert self._container is not None
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._container.poll() is None:
            children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children")
            with suppress(OSError, IndexError, subprocess.TimeoutExpired):  # not begun yet
                self._first = int(children.read_text("ascii").split()[0])
                if self.run("systemctl", "is-system-running", check=False).strip() == "running":
                    return
            self._first = 0
            time.sleep(0.05)
        raise Unbootable(f"the machine does not boot: {self._log.read_text('utf-8', 'replace')[-800:]}")

    def _switch_off(self) -> None:
        if self._container is None:
            return
        self._container.terminate()  # a clean halt
        try:
            self._container.wait(30)
        except subprocess.TimeoutExpired:
            if self._first:
                os.kill(self._first, signal.SIGKILL)
            self._container.kill()
            self._container.wait(10)

    @property
    def root(self) -> Path:
        """Where the files of the booted machine can be seen from outside."""
        return Path(f"/proc/{self._first}/root")

    def run(self, *command: str, check: bool = True, given: str = "", timeout: float = _PATIENCE) -> str:
        """Run a command as root in the machine and return what it printed, errors too.

        Raises AssertionError with that text if the command fails, unless ``check`` is false.
        """
        assert self._first, "the machine is not booted"
        inside = ["timeout", "--kill-after=5", str(timeout), "nsenter", f"--target={self._first}", "--all"]
        found = subprocess.run(
            [
                *inside,
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8",
                *command,
            ],
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout + 10,
            check=False,
        )
        text = found.stdout.decode("utf-8", "replace")
        assert not check or found.returncode == 0, (
            f"{' '.join(command)} ended with {found.returncode}:\n{text}"
        )
        return text

    def write(self, path: str, content: bytes | str, mode: str = "644", owner: str = "root:root") -> None:
        """Write a file in the machine, and the folders that lead to it."""
        data = content.encode() if isinstance(content, str) else content
        assert self._first, "the machine is not booted"
        inside = ["nsenter", f"--target={self._first}", "--all", "sh", "-ec"]
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1" && chown "$3" "$1"'
        subprocess.run([*inside, script, "sh", path, mode, owner], input=data, check=True, timeout=60)

    def install(self, package: Path) -> str:
        """Install or upgrade a Debian package, and return what was said."""
        self.write("/root/package.deb", package.read_bytes())
        return self.run("dpkg", "--install", "/root/package.deb")

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit, as ``systemctl show`` knows them."""
        text = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Return the entries of the machine's journal that match, the oldest first, with all fields."""
        self.run("journalctl", "--sync")
        text = self.run("journalctl", "--output=json", "--all", "--no-pager", *matches)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
