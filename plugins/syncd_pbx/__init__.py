"""PBX nodes: Asterisk and Kamailio over their databases, MiVoice over its files. See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from syncd import Connector, hookimpl

SYNCD_API = 1

_CONNECTORS = {
    ("source", "asterisk"): ("asterisksource", "AsteriskSource"),
    ("source", "kamailio"): ("kamailiosource", "KamailioSource"),
    ("source", "mivoice"): ("misource", "MivoiceSource"),
    ("platform", "asterisk"): ("asterisk", "AsteriskPlatform"),
    ("platform", "kamailio"): ("kamailio", "KamailioPlatform"),
    ("platform", "mivoice"): ("mivoice", "MivoicePlatform"),
}


@hookimpl
def register_connectors(
    register: Callable[[str, type[Connector]], None], wanted: Callable[[str, str], bool]
) -> None:
    """Register what is wanted; the modules are imported only now, SQLAlchemy when a database is used."""
    for (kind, word), (module, name) in _CONNECTORS.items():
        if wanted(kind, word):
            register(word, getattr(import_module(f".{module}", __name__), name))
