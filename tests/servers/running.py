"""What servers have in common that are processes of their own."""

from __future__ import annotations

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self


class Running(ABC):
    """A server that is used in a ``with``, or by ``start`` and ``stop``."""

    process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it and wait until it has ended."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def listens(self, place: Path, seconds: float) -> bool:
        """Return True as soon as it accepts a connection at a socket in the file system, False when it has ended."""
        assert self.process is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(place))
                except OSError:
                    time.sleep(0.01)
                else:
                    return True
        return False
