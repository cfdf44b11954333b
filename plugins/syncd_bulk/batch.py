"""One rewrite of a platform's file: the rows that it has, and what the deliveries make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from syncd import ConnectorError, Delivery, Gone, Rejected


class Stored(NamedTuple):
    """One account as the file has it. Without a key it is somebody else's row, and is left as it stands."""

    key: str
    enabled: bool
    body: Any


class Batch:
    """The deliveries of one rewrite, by account, and what becomes of them."""

    def __init__(
        self,
        deliveries: Sequence[Delivery],
        made: Callable[..., Stored],
        disabled: Callable[[Stored], Stored],
        adopted: Mapping[str, str],
    ) -> None:
        """Sort the deliveries; ``adopted``: the row that an account takes over, where it is another's by its name."""
        self.steps: dict[str, list[tuple[int, Delivery]]] = {}
        self.errors: dict[int, ConnectorError] = {}
        self.gained: set[str] = set()
        self.lost: set[str] = set()
        self._made = made
        self._disabled = disabled
        self._adopted = adopted
        for place, delivery in enumerate(deliveries):
            self.steps.setdefault(self.key_of(delivery), []).append((place, delivery))

    def key_of(self, delivery: Delivery) -> str:
        """Return the key of the row that a delivery is about."""
        if delivery.action != "add" and delivery.remote_id is not None:
            return delivery.remote_id
        return self._adopted.get(delivery.account.key, delivery.account.key)

    def apply(self, key: str, row: Stored | None) -> Stored | None:
        """Return the row after all that was delivered for ``key``, None if there is none any more."""
        for place, delivery in self.steps[key]:
            try:
                row = self._step(key, row, delivery)
            except ConnectorError as error:
                self.errors[place] = error
                if row is not None and delivery.action == "disable" and isinstance(error, Rejected):
                    row = self._disabled(row)  # a value that is refused keeps nobody enabled
        (self.lost if row is None else self.gained).add(key)
        return row

    def _step(self, key: str, row: Stored | None, delivery: Delivery) -> Stored | None:
        action, account = delivery.action, delivery.account
        if action == "add":
            return self._made(key, account, enabled=account.enabled)
        if delivery.remote_id is None:
            raise Gone(f"account {key} has no remote id")
        if action == "delete":
            return None
        if row is None:
            raise Gone(f"account {key} is not in the file")
        enabled = {"update": row.enabled, "disable": False, "enable": True}[action]
        return self._made(key, account, enabled=enabled)
