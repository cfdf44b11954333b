"""Fixtures for tests with a real slapd, Samba or 389 Directory Server: ``pytest_plugins = ("servers.fixtures",)``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import asterisk, ds389, samba, sip
from . import machine as machines
from .certificates import Authority, Certificate
from .ds389 import Ds389
from .machine import Machine
from .samba import Samba
from .sip import Registrar
from .slapd import CROWD, MISSING, Slapd, StartSlapd, people


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the tests' servers are certified by."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Certificate:
    """A good certificate for localhost and 127.0.0.1."""
    return authority.sign("server", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture
def start_slapd(tmp_path: Path) -> Iterator[StartSlapd]:
    """``start_slapd(entries, **options)`` starts one more slapd; all of them end with the test."""
    if MISSING:
        pytest.skip(MISSING)
    with ExitStack() as stack:
        started = iter(range(100))

        def start(*arguments: Any, **options: Any) -> Slapd:
            server = Slapd(tmp_path / f"slapd{next(started)}", *arguments, **options)
            return stack.enter_context(server)

        yield start


@pytest.fixture(scope="session")
def asterisk_files() -> Path:
    """Where Asterisk was unpacked."""
    try:
        return asterisk.files()
    except asterisk.Unobtainable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def start_registrar(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Registrar]]:
    """``start_registrar(kind)`` starts one more ``asterisk`` or ``kamailio``; all of them end with the test."""
    with ExitStack() as stack:
        started = iter(range(100))

        def start(kind: str) -> Registrar:
            if kind == "kamailio" and sip.MISSING:
                pytest.skip(sip.MISSING)
            files = request.getfixturevalue("asterisk_files") if kind == "asterisk" else None
            folder = tmp_path / f"{kind}{next(started)}"
            folder.mkdir()
            made = sip.Kamailio(folder) if files is None else asterisk.Asterisk(folder, files)
            return stack.enter_context(made)

        yield start


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Slapd]:
    """A slapd with 2,000 people, for tests that only read."""
    if MISSING:
        pytest.skip(MISSING)
    with Slapd(tmp_path_factory.mktemp("crowd"), people(CROWD), tls=certificate) as server:
        yield server


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Samba]:
    """A domain controller of Active Directory, one for each worker; tests keep to units of their own."""
    if samba.MISSING:
        pytest.skip(samba.MISSING)
    with Samba(tmp_path_factory.mktemp("samba") / "dc1", authority) as running:
        yield running


@pytest.fixture
def unit(domain: Samba) -> Iterator[str]:
    """The name of a new organizational unit; it goes with the test, and all that is in it."""
    made = domain.unit(f"Unit {uuid.uuid4().hex[:12]}")
    yield made
    domain.delete_tree(made)


@pytest.fixture(scope="session")
def directory_server(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Ds389]:
    """A 389 Directory Server, one for each worker; tests keep to units of their own."""
    if ds389.MISSING:
        pytest.skip(ds389.MISSING)
    with Ds389(tmp_path_factory.mktemp("389") / "ds", certificate) as running:
        yield running


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package of this tree, built once for all workers."""
    if machines.MISSING:
        pytest.skip(machines.MISSING)
    return machines.built_package(tmp_path_factory.getbasetemp())


@contextmanager
def _booted(folder: Path, package: Path | None, *, outside: bool = False) -> Iterator[Machine]:
    try:
        files = machines.files() if package is None else machines.installed(package)
        with Machine(folder, files, outside=outside) as booted:
            yield booted
    except machines.Unbootable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def machine(package: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine with systemd as process 1 on which the package is installed."""
    with _booted(tmp_path, package) as booted:
        yield booted


@pytest.fixture
def connected_machine(package: Path, tmp_path: Path) -> Iterator[Machine]:
    """The same with the network of this system, so that servers of the test can be reached."""
    with _booted(tmp_path, package, outside=True) as booted:
        yield booted


@pytest.fixture
def bare_machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with systemd as process 1, and nothing of syncd."""
    if machines.MISSING:
        pytest.skip(machines.MISSING)
    with _booted(tmp_path, None) as booted:
        yield booted
