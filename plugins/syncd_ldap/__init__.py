"""Active Directory and LDAP directories, as a source of people and as a platform: ``type = "ldap"``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncd import Connector, hookimpl


@hookimpl
def register_connectors(
    register: Callable[[str, type[Connector]], None], wanted: Callable[[str, str], bool]
) -> None:
    """Register source and platform; their libraries are imported now, not when the plugin is found."""
    if wanted("source", "ldap"):
        from .source import LdapSource

        register("ldap", LdapSource)
    if wanted("platform", "ldap"):
        from .platform import LdapPlatform

        register("ldap", LdapPlatform)


@hookimpl
def register_transforms(register: Callable[[str, Callable[..., Any]], None]) -> None:
    """Register ``rdn``: of the names of groups, what the groups are called."""
    from .dn import rdn

    register("rdn", rdn)
