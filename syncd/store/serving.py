"""Whom a platform serves, as conditions in SQL over operations and accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..services import Service

SAID = "(SELECT a.attributes FROM accounts a WHERE a.id = o.account)"
"""What the account of an operation ``o`` says now."""


class Conditions:
    """The terms of a service as conditions in SQL, and the ``values`` to bind to them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.values: dict[str, Any] = {}
        self.elsewhere = service.elsewhere
        self.deciding = (*service.accept, *(["role"] if self.elsewhere else []))
        """The attributes that have a say in whether an account is served."""

    def served(self, kind: str, document: Callable[[str], str], enterprise: str = "") -> str:
        """Return what ``services.serves`` says; ``document`` is where to look for an attribute."""
        service = self.service
        terms = [f"{kind} IN ({self._bound(sorted(service.kinds))})"]
        if enterprise and service.enterprises is not None:
            terms.append(f"{enterprise} IN ({self._bound(sorted(service.enterprises))})")
        for name, allowed in service.accept.items():
            place = f"{document(name)}, {self._path(name)}"
            terms.append(
                f"EXISTS (SELECT 1 FROM json_each({place}) WHERE value IN ({self._bound(sorted(allowed))}))"
            )
        if self.elsewhere:
            place = f"{document('role')}, {self._path('role')}"
            terms.append(f"(json_extract({place}) IN ({self._bound(self.elsewhere)})) IS NOT TRUE")
        return f"({' AND '.join(terms)})"

    def touched(self, names: Iterable[str]) -> str:
        """Return whether ``o.after`` has any of these; in JSON nothing but a name is followed by a colon."""
        texts = (self._bound([f'"{name}":']) for name in names)
        return f"({' OR '.join(f'instr(o.after, {text})' for text in texts) or '0'})"

    def planned(self, name: str) -> str:
        """Return the document that says what an attribute will be."""
        return f"CASE WHEN {self.touched([name])} THEN o.after ELSE {SAID} END"

    def _path(self, name: str) -> str:
        return self._bound([f'$."{name}"'])

    def _bound(self, values: Iterable[Any]) -> str:
        names = []
        for value in values:
            names.append(f":v{len(self.values)}")
            self.values[f"v{len(self.values)}"] = value
        return ", ".join(names)
