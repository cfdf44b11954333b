"""From an account to what its entry holds, and to one digest of that. Pure: nothing here asks a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b

import syncd
from syncd import Account, Rejected

from . import dn
from .platformoptions import BY_NAME, MEMBERSHIPS, Groups, PlatformOptions

Values = dict[str, list[bytes]]
"""LDAP attribute, as configured, to its values; one without values has an empty list."""


def fields_of(options: PlatformOptions) -> dict[str, syncd.Field]:
    """Return the declaration of what the platform takes."""
    alone = options.key[0] if len(options.key) == 1 else None
    fields = {
        name: one.declared(
            f"{name} of the entry",
            required=name in {options.rdn, alone},
            key=name == options.rdn or name in options.key,
            many=one.many,
        )
        for name, one in options.attributes.items()
    }
    if options.groups:
        what = "names" if options.groups.name.lower() == BY_NAME else f"{options.groups.name}s"
        text = f"{what} of the groups below {options.groups.base} that the person is in"
        fields[MEMBERSHIPS] = syncd.Field(attribute="groups", description=text, many=True)
    return fields


def values_of(account: Account, fields: Mapping[str, syncd.Field]) -> Values:
    """Return the values of the attributes. Raises Rejected for what no entry can hold."""
    return {
        name: [_octets(account, name, text) for text in texts_of(account, name, field)]
        for name, field in fields.items()
        if name != MEMBERSHIPS
    }


def texts_of(account: Account, name: str, field: syncd.Field) -> list[str]:
    """Return the texts of one field, each once. Raises Rejected where there are too many, or none."""
    value = account.fields.get(name, ())
    texts = [text for text in dict.fromkeys((value,) if isinstance(value, str) else value) if text]
    if field.required and not texts:
        raise Rejected(f"account {account.key}: {name} is empty, and is required; fill it in its source")
    if len(texts) > 1 and not field.many:
        raise Rejected(f"account {account.key}: {name} has {len(texts)} values and is not declared 'many'")
    return texts


def _octets(account: Account, name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Rejected(
            f"account {account.key}: {name} holds half of a surrogate pair, which is no character; "
            "correct it in its source"
        ) from None


def memberships_of(account: Account, groups: Groups | None) -> dict[str, str]:
    """Return the groups that an account is to be in: what each is recognised by -> as it is written."""
    value = account.fields.get(MEMBERSHIPS, ()) if groups else ()
    texts = (value,) if isinstance(value, str) else value
    for text in texts:
        if groups and groups.name.lower() != BY_NAME and _is_long_name(text):
            raise Rejected(
                f"account {account.key}: the membership {text!r} is a distinguished name, and groups are known by "
                f'{groups.name}: write memberships = {{ from = "groups", via = ["rdn"] }}, or set groups.name = "dn"'
            )
    return {recognised(text, groups, account.key): text for text in texts if text and groups}


def _is_long_name(text: str) -> bool:
    """Tell whether a text is a distinguished name of more than one step."""
    with suppress(ValueError):
        return len(dn.parse(text)) > 1
    return False


def recognised(text: str, groups: Groups, key: str) -> str:
    """Return what is the same for all writings of a group's name. Raises Rejected for what cannot be one."""
    if groups.name.lower() != BY_NAME:
        return " ".join(text.casefold().split())
    try:
        below = dn.within(text, groups.base) and not dn.same(text, groups.base)
        name = dn.folded(text)
    except ValueError as error:
        raise Rejected(f"account {key}: the membership {text!r}: {error}; correct it in its source") from None
    if not below:
        cure = "leave it out of the mapping, or set groups.base"
        raise Rejected(f"account {key}: the group {text} does not lie below {groups.base}; {cure}")
    return name


def digest(values: Mapping[str, Sequence[bytes]], memberships: Iterable[str], *, enabled: bool) -> str:
    """Return the fingerprint of an entry: its values in any order, its groups, and whether it is enabled."""
    parts: list[object] = [enabled, sorted(memberships)]
    parts += [(name.lower(), sorted(values[name])) for name in sorted(values) if values[name]]
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()
