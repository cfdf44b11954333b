"""The source ``ldif``: people as the entries of a directory's export (LDIF content, RFC 2849)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b

from pydantic import Field

from syncd import Entry

from .inputs import Copy
from .ldif import LdifEntry, LdifFile
from .rows import Fault
from .source import FileOptions, FileSource, Found, disabling, suggestions

_ACCOUNTDISABLE = 0x2
"""The bit of Active Directory's userAccountControl (MS-ADTS 2.2.16)."""


class LdifSource(FileSource):
    """Names of attributes are compared without case and yielded as the mapping spells them.

    An attribute that an entry does not have is empty there, and clears. ``dn`` is an attribute too.
    """

    class Options(FileOptions):
        """Every setting of ``type = "ldif"``."""

        anchor: str = Field(
            description="the attribute that never changes for a person, such as entryUUID or objectGUID; "
            "or 'dn', with which a person who is renamed or moved becomes another one"
        )
        enabled: str | None = Field(
            default=None,
            description="the attribute that says whether a person is disabled; of userAccountControl, "
            "its bit 2 does, whatever 'disabled' lists",
        )

    options: Options
    _file: LdifFile | None = None

    def scope(self) -> str:
        return f"ldif {self.options.path} anchor {self.options.anchor.lower()}"

    @property
    def _anchor(self) -> str:
        return self.options.anchor

    def _found(self, copy: Copy) -> Iterator[Found]:
        options, salt = self.options, self._salt()
        anchor_slot, enabled_slot = options.anchor.lower(), (options.enabled or "").lower()
        wanted = (*self.selected, anchor_slot, enabled_slot) if self.selected else None
        used = [slot.lower() for slot in wanted or ()]
        self._file = file = LdifFile(copy.file, wanted, options.caps)
        spelled = [(name, name.lower()) for name in self.selected]
        disabled = _disabled_bit if enabled_slot == "useraccountcontrol" else disabling(options)
        for entry in file:
            values = entry.values
            anchors = values.get(anchor_slot, ())
            anchor = anchors[0].strip() if len(anchors) == 1 else ""
            if entry.faults or not anchor:
                yield self._bad(entry, anchor, len(anchors))
                continue
            told = repr([values.get(slot) for slot in used]).encode() if used else entry.raw
            digest = blake2b(told, digest_size=16, person=salt).digest()
            if spelled:
                attributes = {name: tuple(values[slot]) for name, slot in spelled if slot in values}
            else:
                attributes = {name: tuple(texts) for name, texts in values.items()}
            enabled = not (enabled_slot in values and any(map(disabled, values[enabled_slot])))
            yield Found(entry.line, anchor, Entry(anchor, attributes, enabled, digest), ())

    def _bad(self, entry: LdifEntry, anchor: str, count: int) -> Found:
        faults = entry.faults
        if not anchor and not any(
            fault.where and fault.where.lower() == self._anchor.lower() for fault in faults
        ):
            what = (
                "the entry lacks it"
                if not count
                else f"it has {count} values"
                if count > 1
                else "it is blank"
            )
            message = f"{what}, so it cannot be known who this is; export it, or choose another anchor"
            faults = (*faults, Fault(entry.line, self._anchor, message))
        return Found(entry.line, anchor or None, None, faults)

    def _notes(self) -> Iterator[str]:
        if self._file is None:
            return
        names = self._file.names
        yield f"attributes: {', '.join(sorted(names.values()))}"
        if not self.selected:
            return
        used = {name.lower() for name in (*self.selected, self.options.anchor, self.options.enabled or "")}
        if unused := sorted(name for slot, name in names.items() if slot not in used):
            yield f"attributes that no mapping uses: {', '.join(unused)}"
        if missing := [name for name in self.selected if name.lower() not in {*names, "dn"}]:
            yield f"mapped attributes that no entry has: {suggestions(missing, names.values())}"


def _disabled_bit(text: str) -> bool:
    return bool(re.fullmatch(r"\s*-?[0-9]{1,11}\s*", text, re.ASCII)) and bool(int(text) & _ACCOUNTDISABLE)
