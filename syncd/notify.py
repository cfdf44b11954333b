"""Floor 4: what the service tells systemd of itself: ready, status, watchdog, reloading, stopping.

    notify = Notify()
    notify.ready("2 sources")
    interval = notify.watchdog_interval    # seconds, or None: then nobody waits for a sign of life

Outside systemd there is nobody to tell, and every call does nothing. systemd-python sends where it is
installed (``syncd[systemd]``); without it the datagram is sent as sd_notify(3) describes it.
"""

from __future__ import annotations

import os
import socket
import time

_LONGEST_STATUS = 500  # systemd refuses a message of more than a page, and systemctl shows one line
_PATIENCE = 1.0  # seconds that systemd may take to accept a message


class Notify:
    """The wire to systemd; nothing here raises, and each call tells whether a message went out."""

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds after which systemd takes the service for hung; a sign is due at least twice as often.

        None: the unit has no ``WatchdogSec=``, or it is another process that systemd watches.
        """
        try:
            interval = int(os.environ.get("WATCHDOG_USEC", "")) / 1_000_000
            watched = int(os.environ.get("WATCHDOG_PID") or os.getpid())
        except ValueError:
            return None
        return interval if interval > 0 and watched == os.getpid() else None

    def ready(self, status: str = "") -> bool:
        """Say that the service can be used, and after ``reloading`` that the reload is over."""
        return _send("READY=1", f"STATUS={_line(status)}") if status else _send("READY=1")

    def status(self, text: str) -> bool:
        """Show ``text`` in ``systemctl status``: one line, of which 500 characters are kept."""
        return _send(f"STATUS={_line(text)}")

    def watchdog(self) -> bool:
        """Give a sign of life: from the loop that has seen that everything lives, not from a timer."""
        return _send("WATCHDOG=1")

    def reloading(self) -> bool:
        """Say that the configuration is being read again; ``ready`` must follow, also if it is refused.

        The time is what Type=notify-reload (systemd 253) tells this message from an older one by.
        """
        return _send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """Say that the service is about to end."""
        return _send("STOPPING=1", f"STATUS={_line(status)}") if status else _send("STOPPING=1")

    def extend(self, seconds: float) -> bool:
        """Ask for ``seconds`` from now before the start or the stop counts as failed; may be repeated."""
        return _send(f"EXTEND_TIMEOUT_USEC={max(1, round(seconds * 1_000_000))}")


def _line(text: str) -> str:
    """Return ``text`` as one line that systemd accepts: no control character, no half of a pair."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_STATUS])


def _send(*assignments: str) -> bool:
    if not os.environ.get("NOTIFY_SOCKET"):
        return False
    message = "\n".join(assignments)
    try:
        try:
            from systemd.daemon import notify
        except ImportError:
            return _datagram(message)
        return bool(notify(message))
    except (OSError, ValueError):  # ValueError: the address is none
        return False


def _datagram(message: str) -> bool:
    address = os.environ["NOTIFY_SOCKET"]
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.settimeout(_PATIENCE)
        wire.sendto(message.encode(), address)
    return True
