"""PBX nodes whose users stand in a database: Asterisk and Kamailio. See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable

from syncd import Connector, hookimpl

SYNCD_API = 1


@hookimpl
def register_connectors(register: Callable[[str, type[Connector]], None]) -> None:
    """Register the platforms; their modules are imported only now, SQLAlchemy when one is used."""
    from .asterisk import AsteriskPlatform
    from .kamailio import KamailioPlatform

    register("asterisk", AsteriskPlatform)
    register("kamailio", KamailioPlatform)
