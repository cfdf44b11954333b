"""CSV and LDIF files: people read from them, accounts written to them. See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable

from syncd import Connector, hookimpl

SYNCD_API = 1


@hookimpl
def register_connectors(
    register: Callable[[str, type[Connector]], None], wanted: Callable[[str, str], bool]
) -> None:
    """Register both directions of both formats; the modules are imported only now."""
    if wanted("source", "csv"):
        from .csvsource import CsvSource

        register("csv", CsvSource)
    if wanted("source", "ldif"):
        from .ldifsource import LdifSource

        register("ldif", LdifSource)
    if wanted("platform", "csv"):
        from .csvplatform import CsvPlatform

        register("csv", CsvPlatform)
    if wanted("platform", "ldif"):
        from .ldifplatform import LdifPlatform

        register("ldif", LdifPlatform)
