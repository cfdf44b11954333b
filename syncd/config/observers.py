"""Compiles ``[observer.NAME]`` and ``metrics``: who is told how syncd does, and where its numbers go."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from .checking import checked
from .compiling import Draft
from .connections import options_of, tables_of, type_of
from .models import MetricsTable, ObserverTable
from .settings import MetricsSettings, ObserverSettings, Origin

OBSERVER_KEYS = frozenset(ObserverTable.model_fields)
"""The engine's keys of an observer; no plugin may have an option of such a name."""

TEXTFILE = "syncd.prom"
"""What the metrics' file is called, where only its folder is known."""

_ADDRESS = r"(?:\[(?P<six>[^\[\]]+)\]|(?P<four>[^\[\]:]+)):(?P<port>[0-9]{1,5})"


def compile_observers(draft: Draft) -> dict[str, ObserverSettings]:
    """Return every observer."""
    found = {}
    for name, parts in tables_of(draft, "observer", OBSERVER_KEYS):
        path = ("observer", name)
        kind = type_of(draft, path, parts, "observer", draft.catalog.observers, OBSERVER_KEYS)
        table = checked(draft.document, ObserverTable, parts.engine, path)
        draft.effective.note(path, parts.engine, table)
        options = options_of(draft, path, parts, kind, OBSERVER_KEYS)
        found[name] = ObserverSettings(name=name, type=table.type or "", options=options)
    return found


def compile_metrics(draft: Draft, table: MetricsTable) -> MetricsSettings:
    """Return where the metrics go; without a word of the configuration, into the service's runtime directory."""
    return MetricsSettings(textfile=_textfile(draft, table.textfile), listen=_listen(draft, table.listen))


def _textfile(draft: Draft, written: str | None) -> Path | None:
    path = ("metrics", "textfile")
    if written == "off":
        return None
    if written is None:
        told = draft.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if not told:
            return None
        draft.effective.put(path, f"{told}/{TEXTFILE}", Origin("environment RUNTIME_DIRECTORY"))
        return Path(told) / TEXTFILE
    place = Path(written)
    if not place.is_absolute() or place.suffix != ".prom":
        draft.objection(path, f'{written!r} must begin with / and end with .prom, or be "off"')
    return place


def _listen(draft: Draft, written: str | None) -> tuple[str, int] | None:
    """Read an address of this machine: whoever can reach the port reads the numbers, and nothing asks who that is."""
    if written is None or written == "off":
        return None
    path, match = ("metrics", "listen"), re.fullmatch(_ADDRESS, written)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        draft.objection(path, f'{written!r} must be an address and a port, such as "127.0.0.1:9464"')
        return None
    host = match["six"] or match["four"]
    if not _is_loopback("127.0.0.1" if host == "localhost" else host):
        draft.objection(
            path,
            f"{host!r} can be reached from other machines, and nobody is asked who they are; write "
            f'"127.0.0.1:{match["port"]}", and let a proxy or an agent on this machine pass it on',
        )
    return host, int(match["port"])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
