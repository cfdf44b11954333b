"""Floor 3: secrets that a source says are hidden as soon as they are mapped.

From here on a record speaks of such a secret by its attribute, its shape and a keyed digest, and so do layers,
operations and plans: the same input has the same plan, and a change is seen as one. The value itself goes along
in memory alone (``Hidden``), to be judged by rules and limits, and to be sealed with the operation that is
stored. The transaction that applies the operation seals it anew, as a version of its account's secret.

The digest is an HMAC (RFC 2104) with SHA-256, cut to 128 bits, over enterprise, attribute, anchor and value. A
code of four digits has 10,000 values; without the key none of them can be tried. The anchor is in it so that
two people with the same code are not seen to have the same; an entry that comes back under another anchor says
its secrets anew. Fingerprints of such entries are keyed as well.
The key is random, made once, and lies sealed in the database: a change of ``secrets_key`` seals it anew and
changes no digest, so nothing looks changed and no journal is rewritten. The price: who had the old key and an old
copy of the database can still try codes against the digests of a newer copy, though not open what is sealed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial

from .model import Fault, Hidden, Record, Sealed, Value, Vocabulary

_DIGEST = 16


def hide(
    stream: Iterable[object], names: Collection[str], vocabulary: Vocabulary, enterprise: str, key: bytes
) -> Iterator[object]:
    """Hide the attributes ``names`` of every Record; what is no code is left out of it, with a warning."""
    codes, ordered = codes_of(names, vocabulary), sorted(names)
    for item in stream:
        if not isinstance(item, Record):
            yield item
            continue
        record = without_bad_codes(item, codes)
        found: dict[str, Value] = {}
        for name in ordered:
            value = record.values.get(name)
            if isinstance(value, str):
                recipe = "digits" if name in codes else "password"
                one = Sealed(
                    name, 0, recipe, len(value), _digest(key, enterprise, name, record.anchor, value)
                )
                found[name] = hidden = Hidden(str(one))
                hidden.plain = value
        secrets = tuple(one for one in found.values() if isinstance(one, Hidden))
        yield record._replace(values={**record.values, **found}, secrets=secrets) if found else record


def codes_of(names: Iterable[str], vocabulary: Vocabulary) -> dict[str, tuple[int, int]]:
    """Return those of the attributes that are codes, with the fewest and the most digits."""
    return {name: span for name in sorted(names) if (span := vocabulary[name].digits) is not None}


def without_bad_codes(record: Record, codes: Mapping[str, tuple[int, int]]) -> Record:
    """Return a record without those codes that are none; a warning is in the place of each.

    A vendor's rule: a code that is not numeric is blank, and the person is created all the same. Who has a
    code that works keeps it: a slip in the source is no wish to take it away, which says an empty value.
    """
    faulty = {fault.attribute for fault in record.faults}
    bad = [
        name for name, span in codes.items() if name in faulty or not _fits(record.values.get(name), *span)
    ]
    if not bad:
        return record
    return record._replace(
        values={name: value for name, value in record.values.items() if name not in bad},
        faults=tuple(fault for fault in record.faults if fault.attribute not in bad),
        warnings=(*record.warnings, *(_warning(name, *codes[name]) for name in bad)),
        unknown=record.unknown.union(bad),
    )


def _fits(value: Value | None, low: int, high: int) -> bool:
    if value is None:
        return True
    return isinstance(value, str) and value.isascii() and value.isdecimal() and low <= len(value) <= high


def _warning(name: str, low: int, high: int) -> Fault:
    cure = "correct it in the source"
    message = f"{name} is not {low} to {high} digits, and is left out; {cure}"
    return Fault("no_code", name, message, "warning")


def keyed(key: bytes) -> Callable[[bytes], bytes]:
    """Return what makes fingerprints that depend on ``key``."""
    return partial(_fingerprint, key)


def _fingerprint(key: bytes, fingerprint: bytes) -> bytes:
    return hmac.digest(key, b"fingerprint\0" + fingerprint, hashlib.sha256)[:_DIGEST]


def _digest(key: bytes, *told: str) -> str:
    text = b"value\0" + repr(told).encode("utf-8", "surrogatepass")
    return hmac.digest(key, text, hashlib.sha256)[:_DIGEST].hex()
