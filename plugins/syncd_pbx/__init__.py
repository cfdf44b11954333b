"""PBX nodes: the databases of Asterisk and Kamailio, and the files that a MiVoice exchanges. See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable

from syncd import Connector, hookimpl

SYNCD_API = 1


@hookimpl
def register_connectors(register: Callable[[str, type[Connector]], None]) -> None:
    """Register both directions; their modules are imported only now, SQLAlchemy when one is used."""
    from .asterisk import AsteriskPlatform
    from .asterisksource import AsteriskSource
    from .kamailio import KamailioPlatform
    from .kamailiosource import KamailioSource
    from .mivoice import MivoicePlatform

    register("asterisk", AsteriskSource)
    register("kamailio", KamailioSource)
    register("asterisk", AsteriskPlatform)
    register("kamailio", KamailioPlatform)
    register("mivoice", MivoicePlatform)
