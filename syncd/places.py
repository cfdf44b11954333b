"""Floor 3: where the state directory and the control socket are, unless the configuration says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

STATE_DIRECTORY = Path("/var/lib/syncd")
DATABASE = "syncd.db"
"""Name of the database within the state directory."""

SOCKET = Path("/run/syncd/control.sock")
LONGEST_SOCKET = 107
"""Bytes that the path of a Unix socket may have (unix(7): 108 with the one that ends it)."""

_DYNAMIC = Path("/var/lib/private/syncd")
"""What systemd makes of the usual state directory for a service with a dynamic user."""


def systemds_directory(environ: Mapping[str, str]) -> str:
    """Return the state directory that systemd has made for this process; "" outside of a unit with one."""
    return environ.get("STATE_DIRECTORY", "").partition(":")[0]


def state_directory_of(told: object, environ: Mapping[str, str]) -> Path:
    """Return what somebody has told, else what systemd has made, else the usual place."""
    return (
        Path(told) if isinstance(told, str | Path) else Path(systemds_directory(environ) or STATE_DIRECTORY)
    )


def socket_of(state_directory: Path) -> Path:
    """Return where the service that owns a state directory listens."""
    usual = state_directory in {STATE_DIRECTORY, _DYNAMIC}
    return SOCKET if usual else state_directory / "control.sock"
