"""Notices by mail, over SMTP. See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable

from syncd import Connector, hookimpl

SYNCD_API = 1


@hookimpl
def register_connectors(register: Callable[[str, type[Connector]], None]) -> None:
    """Register the observer; its module is imported only now."""
    from .observer import Mail

    register("mail", Mail)
