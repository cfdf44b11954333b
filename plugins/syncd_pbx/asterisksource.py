"""The source ``asterisk``: people as the PJSIP endpoints of Asterisk's realtime tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from .devices import Device, Texts, caller, first, is_text
from .marks import is_off
from .source import NodeSource, Rows
from .sourceoptions import AsteriskSourceOptions
from .spool import Spool

_BOX = frozenset({"email", "fullname"})
_CALLER = frozenset({"name", "number"})
_MAILBOX = frozenset({"mailbox", "mailbox_context"})


class AsteriskSource(NodeSource):
    """An endpoint is a telephone. Neither ``ps_auths`` nor a password of a mailbox is ever read."""

    Options: ClassVar[type[AsteriskSourceOptions]] = AsteriskSourceOptions
    options: AsteriskSourceOptions
    users = "ps_endpoints"
    offered = NodeSource.offered | _CALLER | _MAILBOX | _BOX

    def needed(self) -> dict[str, set[str]]:
        tables = super().needed()
        tables[self.users] |= {"id", "callerid", "aors", self.options.person}
        if self._asks(_MAILBOX | _BOX):
            tables[self.users].add("mailboxes")
        if self._asks(_BOX):
            tables["voicemail"] = {"context", "mailbox", *(_BOX & set(self.selected or _BOX))}
        if self.options.dynamic_extensions_only:
            tables["ps_aors"] = {"id", "max_contacts"}
        return tables

    def _asks(self, names: frozenset[str]) -> bool:
        return bool(names & set(self.selected))

    def facts(self, rows: Rows, spool: Spool) -> None:
        if "voicemail" in rows.needed:
            for batch in rows.batches("voicemail"):
                spool.note(
                    "box", ((_address(row), json.dumps(row)) for row in batch if is_text(_address(row)))
                )
        if "ps_aors" in rows.needed:
            for batch in rows.batches("ps_aors"):
                spool.note("aor", ((row["id"], "") for row in batch if _is_many(row) and is_text(row["id"])))

    def device(self, row: Mapping[str, str], spool: Spool) -> tuple[str, Device]:
        name, number = row["id"], caller(row["callerid"])[1]
        aors = _split(row["aors"])
        device = Device(
            name=name,
            number=name if re.fullmatch(self.options.extensions, name) else number,
            soft=self.is_soft(name, row),
            enabled=not any(map(is_off, aors)),
            many=self.options.dynamic_extensions_only and any(_is_known(aor, spool) for aor in aors),
            columns={
                column: value for column, value in row.items() if value and column not in {"id", "aors"}
            },
        )
        return self._anchor(row, device, number), device

    def _anchor(self, row: Mapping[str, str], device: Device, number: str) -> str:
        by = self.options.person
        if by == "callerid":
            known = re.fullmatch(self.options.extensions, number) or not is_text(number)
            return number if known else device.name
        value = next(iter(_split(row[by])), "") if by == "mailboxes" else row[by].strip()
        return value or (device.name and f"endpoint:{device.name}")

    def doubt(self, anchor: str, devices: Sequence[Device]) -> str:
        """Doubt a number in the caller ids of several endpoints that have others of their own: a main number."""
        if self.options.person != "callerid" or len(devices) < 2:
            return ""
        if any(device.number == anchor for device in devices):
            return ""
        names = ", ".join(ascii(device.name) for device in devices)
        return (
            f"{names} all show {anchor}, which is the number of none of them, so they may not be one person's: keep "
            "such numbers out of 'extensions', or use another column as 'person'"
        )

    def texts(self, devices: Sequence[Device], spool: Spool) -> Texts:
        callerid = first(devices, "callerid")
        name, number = caller(callerid[0]) if callerid else ("", "")
        addresses = first(devices, "mailboxes")
        address = _split(addresses[0])[:1] if addresses else []
        texts = {"name": name, "number": number}
        if address:
            texts["mailbox"], _, context = address[0].partition("@")
            texts["mailbox_context"] = context or "default"
            texts |= self._box(f"{texts['mailbox']}@{texts['mailbox_context']}", spool)
        found = {name: (text,) for name in self.offered if (text := texts.get(name))}
        return {**dict.fromkeys(_CALLER | _MAILBOX | _BOX, ()), **found}

    def _box(self, address: str, spool: Spool) -> dict[str, str]:
        told = spool.fact("box", address) if is_text(address) else None
        return {} if told is None else {name: text for name, text in json.loads(told).items() if name in _BOX}


def _address(row: Mapping[str, str]) -> str:
    return f"{row['mailbox']}@{row['context']}"


def _is_many(row: Mapping[str, str]) -> bool:
    return re.fullmatch("[0-9]+", row["max_contacts"]) is not None and int(row["max_contacts"]) > 1


def _is_known(aor: str, spool: Spool) -> bool:
    return is_text(aor) and spool.fact("aor", aor) is not None


def _split(names: str) -> list[str]:
    """Return the names of a list, as Asterisk separates them."""
    return [name.strip() for name in names.split(",") if name.strip()]
