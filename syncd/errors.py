"""The error tree: the engine acts on the kind of an error, never on its text.

    SyncdError                       what was asked for cannot be done as it was asked    exit 64
    + ConfigError(problems)        all problems of the configuration at once            exit 78
    + PluginError(plugin)          a plugin failed to load, or broke the contract       exit 70
    + StoreError                   the database cannot be opened, read or written       exit 74
    + Busy(holder)                 another process owns the state directory             exit 75
    + ConnectorError               raised by sources and platforms
      + Unavailable(retry_after)   back off: the run fails, a delivery waits            exit 69
      + Denied                     a person must act: password, rights, certificate     exit 77
      + Rejected                   this one operation only; the run goes on             exit 65
      + Blocked(references)        something refers to it and must go first; waits
      + CursorExpired              the cursor is no longer good: the engine reads in full
      + Gone                       the remote id vanished: found again, or added again
      + Stale                      the world moved since the plan: detained

A plugin translates what its library raises into these at its own edge. A message names the thing,
the place and the cure, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class SyncdError(Exception):
    """Anything that syncd knows how to report; by itself: what was asked for cannot be done as asked.

    ``exit_code`` is what the process ends with (sysexits).
    """

    exit_code: ClassVar[int] = 64


class ConfigError(SyncdError):
    """The configuration cannot be used; ``problems`` holds every reason, each with file and line."""

    exit_code = 78

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginError(SyncdError):
    """The plugin named ``plugin`` failed to load, or did what the contract forbids."""

    exit_code = 70

    def __init__(self, plugin: str, message: str) -> None:
        self.plugin = plugin
        super().__init__(f"plugin {plugin}: {message}")


class StoreError(SyncdError):
    """The database cannot be opened, read or written."""

    exit_code = 74


class Busy(SyncdError):
    """Another process owns the state directory; ``holder`` says which."""

    exit_code = 75

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"the state directory is in use by {holder}; wait for it to end, or ask it")


class ConnectorError(SyncdError):
    """What a source or a platform raises; only its kinds below are acted upon."""

    exit_code = 69


class Unavailable(ConnectorError):
    """Not reachable, or busy, for now; ``retry_after`` (seconds) is what the other side asked for."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Denied(ConnectorError):
    """Refused until a person changes a password, a right or a certificate."""

    exit_code = 77


class Rejected(ConnectorError):
    """This one record cannot be taken as it is; others can."""

    exit_code = 65


class Blocked(ConnectorError):
    """Something still refers to it; ``references`` names what must go first."""

    def __init__(self, message: str, references: Sequence[str] = ()) -> None:
        self.references: tuple[str, ...] = tuple(references)
        super().__init__(message)


class CursorExpired(ConnectorError):
    """The source does not know this cursor any more; the engine reads in full and says why."""


class Gone(ConnectorError):
    """The remote id does not exist any more."""


class Stale(ConnectorError):
    """The thing changed since the plan was made."""
