"""Floor 5: a plugin's code runs under a guard, and what it raises is blamed on it by name."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import PluginError

_OURS = str(Path(__file__).parent.parent)


@contextmanager
def guarded(plugin: str, origin: object, doing: str, *, private: bool = False) -> Iterator[None]:
    """Turn whatever the block raises into a PluginError about ``doing``, such as "importing it".

    ``origin`` says the distribution and its version; it is asked for its text only then. ``private`` keeps the text of the error out of the
    message, where it may hold a secret; the error itself stays the cause. KeyboardInterrupt is let
    through: it comes from a person, not from the plugin.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's SystemExit must not end the service
        raise blame(plugin, origin, doing, error, private=private) from error


def blame(
    plugin: str, origin: object, doing: str, error: BaseException, *, private: bool = False
) -> PluginError:
    """Return the PluginError that says which plugin of which distribution raised what, and where."""
    what = type(error).__name__ if private else describe(error)
    return PluginError(plugin, f"{origin}: {doing} raised {what}{_place(error)}")


def describe(error: BaseException, longest: int = 500) -> str:
    """Return the kind and the text of an error on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a plugin's own error class may fail to show itself
        text = "(its text cannot be shown)"
    kind = type(error).__name__
    return f"{kind}: {text[:longest]}" if text else kind


def _place(error: BaseException) -> str:
    """Return where the error came from: the last line that is neither syncd's nor the import system's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((_OURS, "<frozen")) and "importlib" not in frame.filename:
            return f" at {frame.filename}:{frame.lineno}"
    return ""
