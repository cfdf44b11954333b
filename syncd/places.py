"""Floor 3: where the state directory and the control socket are, unless the configuration says otherwise."""

from __future__ import annotations

from pathlib import Path

STATE_DIRECTORY = Path("/var/lib/syncd")
SOCKET = Path("/run/syncd/control.sock")
LONGEST_SOCKET = 107
"""Bytes that the path of a Unix socket may have (unix(7): 108 with the one that ends it)."""

_DYNAMIC = Path("/var/lib/private/syncd")
"""What systemd makes of the usual state directory for a service with a dynamic user."""


def socket_of(state_directory: Path) -> Path:
    """Return where the service that owns a state directory listens."""
    usual = state_directory in {STATE_DIRECTORY, _DYNAMIC}
    return SOCKET if usual else state_directory / "control.sock"
