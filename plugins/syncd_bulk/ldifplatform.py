"""The platform ``ldif``: entries, or changes of entries, for directories and systems that import them."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from collections.abc import Hashable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from syncd import Account, Denied, Rejected

from . import ldifwriter
from .batch import Stored
from .ldif import LdifFile, blocks, decode_base64
from .ldifoptions import LdifOptions, alone, template_of
from .outputs import drafted, open_own, publish, translated
from .platform import FilePlatform, check_key, fields_of, problem_of, texts_of
from .rows import BadFile, Caps

_EVERYTHING = Caps(value=1 << 30, line=1 << 30, entry=1 << 30, entries=1 << 40)
_PLAIN_KEY = re.compile("[!-~]+")
_ACCOUNT = b"# account:"
_DISABLED = b"# disabled"
_SEQUENCE = re.compile(rb"^# sequence: ([0-9]{1,12})$", re.MULTILINE)
_NAME = re.compile(rb"dn:.*\n(?: .*\n)*")
_BATCH = re.compile(r"([0-9]{6,12})\.ldif")
_HIDDEN_BATCH = re.compile(r"\.([0-9]{6,12})\.ldif\.tmp")


class LdifPlatform(FilePlatform):
    """Every entry stands behind a comment with its account's key, so that the file is its own memory.

    An account that is disabled, where no attribute says so, stands in the file as comments.
    """

    Options = LdifOptions
    options: LdifOptions

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self._changes = options.style == "changes"
        self._folder = Path(options.path)
        self._path = self._folder / ".state.ldif" if self._changes else self._folder
        self._template = template_of(options.dn)
        needed = [field for _, field in self._template if field]
        self._alone = alone(self._template)
        self.fields = fields_of(options.attributes, needed, self._alone)
        switch = [options.enabled.name] if options.enabled else []
        self._spelled = {name.lower(): name for name in (*options.attributes, "objectClass", *switch)}

    def open(self) -> None:
        """Finish what a killed process has begun."""
        super().open()
        if self._changes:
            with translated(self._folder):
                self._settle_last()

    def _settle_last(self) -> int:
        """Finish, or throw away, a batch that was left behind; return the highest number used so far.

        The rename of the state is the moment that counts: a batch of which the state knows is put in place.
        """
        last = self._stated()
        highest = last
        for path in self._folder.iterdir():
            if found := _BATCH.fullmatch(path.name):
                highest = max(highest, int(found[1]))
            elif not (found := _HIDDEN_BATCH.fullmatch(path.name)):
                continue
            elif int(found[1]) == last:
                publish(self._folder / f"{found[1]}.ldif")
            else:
                path.unlink()
        return highest

    def _stored(self) -> Iterator[Stored]:
        file = open_own(self._path)
        if file is None:
            return
        with file:
            try:
                for line, block in blocks(file, _EVERYTHING):
                    text = _after_head(block) if line == 1 else block
                    if text:
                        yield stored(text)
            except BadFile as error:
                raise self._broken(error.fault.at(self._path)) from None
            except ValueError as error:
                raise self._broken(f"{self._path}: the key of an account: {error}") from None

    def _broken(self, message: str) -> Denied:
        return Denied(
            f"{message}; put it right; or move the file away, and `syncd verify --repair` makes it anew"
        )

    def _made(self, key: str, account: Account, *, enabled: bool) -> Stored:
        check_key(key)
        values = {name: texts_of(account, name, field) for name, field in self.fields.items()}
        attributes = {"objectClass": self.options.object_class, **values}
        if switch := self.options.enabled:
            attributes[switch.name] = (switch.on if enabled else switch.off,)
        return Stored(key, enabled, ldifwriter.entry(self._name(key, values), attributes))

    def _disabled(self, row: Stored) -> Stored:
        switch, seen = self.options.enabled, self._seen_as(row)
        if not switch or seen is None:
            return row._replace(enabled=False)
        name, attributes = seen
        body = ldifwriter.entry(name, {**attributes, switch.name: [switch.off]})
        return row._replace(enabled=False, body=body)

    def _name(self, key: str, values: dict[str, tuple[str, ...]]) -> str:
        parts = []
        for literal, field in self._template:
            parts.append(literal)
            if field:
                parts.append(ldifwriter.escape(values[field][0]))
        name = "".join(parts)
        if problem := problem_of(name):
            raise Rejected(f"account {key}: the entry's name {problem}")
        return name

    def _digest(self, row: Stored) -> str:
        return blake2b(row.body, digest_size=16, key=b"+" if row.enabled else b"-").hexdigest()

    def _unique(self, row: Stored) -> Iterator[Hashable]:
        if self._alone and (name := _NAME.match(row.body)):
            yield name[0]

    def _write(self, pairs: Iterable[tuple[Stored | None, Stored | None]]) -> None:
        if self._changes:
            self._write_changes(pairs)
            return
        with drafted(self._path, self._mode) as draft:
            draft.file.write(b"version: 1\n\n")
            changed = False
            for before, after in pairs:
                changed = changed or before != after
                if after is not None:
                    draft.file.write(self._block(after))
            if changed:
                draft.settle()
                draft.publish()
            else:
                draft.drop()

    def _write_changes(self, pairs: Iterable[tuple[Stored | None, Stored | None]]) -> None:
        """Write a batch and the new state; ``_settle_last`` says what a kill in between leaves."""
        number = 1 + self._settle_last()
        path = self._folder / f"{number:06d}.ldif"
        with drafted(path, self._mode) as batch, drafted(self._path, 0o600) as state:
            batch.file.write(b"version: 1\n\n")
            state.file.write(b"version: 1\n# sequence: %d\n\n" % number)
            empty, changed = batch.file.tell(), False
            for before, after in pairs:
                if before != after:
                    changed = True
                    batch.file.writelines(record + b"\n" for record in self._records(before, after))
                if after is not None:
                    state.file.write(self._block(after))
            if batch.file.tell() > empty:
                batch.settle()
            else:
                batch.drop()
            if changed:
                state.settle()
                batch.keep()
                state.publish()
                batch.publish()
            else:
                state.drop()

    def _stated(self) -> int:
        """Return the number of the last batch that the state knows of."""
        file = open_own(self._path)
        if file is None:
            return 0
        with file:
            found = _SEQUENCE.search(file.read(80))
        return int(found[1]) if found else 0

    def _block(self, row: Stored) -> bytes:
        body: bytes = row.body
        if not row.key:
            return body + b"\n"
        plain = _PLAIN_KEY.fullmatch(row.key)
        head = f" {row.key}\n" if plain else f": {b64encode(row.key.encode()).decode()}\n"
        if row.enabled:
            return _ACCOUNT + head.encode() + body + b"\n"
        if not self.options.enabled:
            body = b"".join(b"# " + line + b"\n" for line in body[:-1].split(b"\n"))
        return _ACCOUNT + head.encode() + _DISABLED + b"\n" + body + b"\n"

    def _records(self, before: Stored | None, after: Stored | None) -> Iterator[bytes]:
        """Yield the change records that lead from one row to the other."""
        old, new = self._seen_as(before), self._seen_as(after)
        if old is None or new is None:
            if old is not None:
                yield ldifwriter.deleting(old[0])
            if new is not None:
                yield ldifwriter.adding(*new)
            return
        if old[0] != new[0] and self.options.rename == "replace":
            yield ldifwriter.deleting(old[0])
            yield ldifwriter.adding(*new)
            return
        if old[0] != new[0]:
            yield ldifwriter.renaming(old[0], new[0])
        if changes := ldifwriter.differences(old[1], new[1]):
            yield ldifwriter.modifying(new[0], changes)

    def _seen_as(self, row: Stored | None) -> tuple[str, dict[str, list[str]]] | None:
        """Return name and attributes of the entry as the importing system has it, if it has it."""
        if row is None or not (row.enabled or self.options.enabled):
            return None
        found = next(iter(LdifFile(io.BytesIO(row.body), caps=_EVERYTHING)), None)
        if found is None or found.faults:
            raise self._broken(f"{self._path}: the entry of account {row.key} is damaged")
        values = dict(found.values)
        return values.pop("dn")[0], {self._spelled.get(name, name): texts for name, texts in values.items()}


def stored(block: bytes) -> Stored:
    """Return the row that a block of the file holds. Raises ValueError if its key cannot be read."""
    head, _, body = block.partition(b"\n")
    if not head.startswith(_ACCOUNT):
        return Stored("", enabled=True, body=block + b"\n")
    word = head[len(_ACCOUNT) :]
    key = decode_base64(word[1:].strip(), "key") if word.startswith(b":") else word.strip().decode()
    if not body.startswith(_DISABLED + b"\n"):
        return Stored(key, enabled=True, body=body + b"\n")
    lines = body.split(b"\n")[1:]
    return Stored(key, enabled=False, body=b"".join(line.removeprefix(b"# ") + b"\n" for line in lines))


def _after_head(block: bytes) -> bytes:
    """Return what stands in the first block behind the version and the sequence, usually nothing."""
    lines = block.split(b"\n")
    return b"\n".join(
        line for line in lines if not line.startswith(b"version:") and not _SEQUENCE.match(line)
    )
