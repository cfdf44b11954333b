"""CSV and LDIF files: people read from them, accounts written to them. See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable

from syncd import Connector, hookimpl

SYNCD_API = 1


@hookimpl
def register_connectors(register: Callable[[str, type[Connector]], None]) -> None:
    """Register both directions of both formats; the modules are imported only now."""
    from .csvplatform import CsvPlatform
    from .csvsource import CsvSource
    from .ldifplatform import LdifPlatform
    from .ldifsource import LdifSource

    register("csv", CsvSource)
    register("ldif", LdifSource)
    register("csv", CsvPlatform)
    register("ldif", LdifPlatform)
