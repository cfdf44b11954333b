"""The source ``kamailio``: people as subscribers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from .devices import Device, Texts
from .marks import is_off, on
from .source import NodeSource
from .sourceoptions import KamailioSourceOptions
from .spool import Spool


class KamailioSource(NodeSource):
    """A row of ``subscriber`` is a telephone; its hashes are never read."""

    Options: ClassVar[type[KamailioSourceOptions]] = KamailioSourceOptions
    options: KamailioSourceOptions
    users = "subscriber"
    offered = NodeSource.offered | {"sip_address"}

    def needed(self) -> dict[str, set[str]]:
        tables = super().needed()
        tables[self.users] |= {"username", "domain", self.options.person}
        return tables

    def scope(self) -> str:
        return f"{super().scope()} domain {self.options.domain}"

    def matching(self) -> Mapping[str, str]:
        return {"domain": self.options.domain}

    def device(self, row: Mapping[str, str], spool: Spool) -> tuple[str, Device]:  # noqa: ARG002 - no other table
        name = on(row["username"])
        enabled = not is_off(row["username"])
        columns = {column: value for column, value in {**row, "username": name}.items() if value}
        device = Device(name, name, self.is_soft(name, row), enabled, many=False, columns=columns)
        value = columns.get(self.options.person, "").strip()
        return value or (name and f"subscriber:{name}"), device

    def texts(self, devices: Sequence[Device], spool: Spool) -> Texts:  # noqa: ARG002 - no other table
        return {"sip_address": (f"{devices[0].name}@{self.options.domain}",)}
