"""The attribute vocabulary: every word that an account can say, and how it is compared.

A mapping may only name words of this table; ``[attribute.badge]`` in the configuration or a plugin's
``register_attributes`` adds to it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .values import Value


class Attribute(NamedTuple):
    """One word of the vocabulary.

    ``many``: holds several texts. ``key``: no two accounts of one enterprise may share a value; compared
    by ``fold``. ``secret``: never shown, never logged. ``limit``: the longest value, in characters.
    ``digits``: it is a code of so many digits (fewest, most); what a source says instead is left out.
    """

    name: str
    description: str
    many: bool = False
    key: bool = False
    secret: bool = False
    limit: int | None = 256
    digits: tuple[int, int] | None = None


def fold(text: str) -> str:
    """Return what two values of a key are compared by: NFKC and full case folding (Unicode 3.13, D146).

    Values that only look alike (another script, invisible characters) stay different: those are for a
    validation rule to refuse.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _words() -> Iterator[Attribute]:
    yield Attribute("login", "the name that the person logs in with", key=True, limit=113)
    yield Attribute("email", "the one e-mail address", key=True, limit=254)
    yield Attribute("extension", "internal number of the desk phone", key=True, limit=32)
    yield Attribute("softphone_extension", "internal number of the soft phone", key=True, limit=32)
    yield Attribute("did", "direct inward dial number, E.164", key=True, limit=32)
    for name, description in (
        ("first_name", "given name"),
        ("middle_name", "middle name or initials"),
        ("last_name", "family name"),
        ("display_name", "the name shown to others"),
        ("title", "position in the company"),
        ("department", "one of the configured departments, where any are configured"),
        ("location", "one of the configured locations, where any are configured"),
        ("company", "name of the company"),
        ("description", "free text"),
        ("info", "free text, first"),
        ("info2", "free text, second"),
        ("street", "street address"),
        ("city", "city"),
        ("state", "state or province"),
        ("postal_code", "postal code"),
        ("country", "country"),
        ("language", "preferred language, as in BCP 47"),
        ("phone", "primary telephone number"),
        ("mobile", "mobile number"),
        ("mobile2", "second mobile number"),
        ("home_phone", "telephone number at home"),
        ("fax", "fax number"),
        ("pager", "pager number"),
        ("mobile_twinning", "external number that rings along with the extension"),
        ("home_element", "the network element that the person's phone lives on"),
        ("secondary_element", "the network element that takes over"),
        ("pbx_node", "the PBX node that serves the account"),
        ("mailbox", "voice mailbox number"),
        ("voicemail_server", "host that holds the mailbox"),
        ("voicemail_number", "public number of the voice mail"),
        ("sip_address", "SIP address"),
        ("im_address", "instant messaging address"),
        ("role", "the configured role: which template a new account gets"),
        ("feature_profile", "the feature profile, which says what licences are needed"),
        ("employee_number", "number in the personnel records"),
        ("manager", "the person's superior, as the source names them"),
        ("website", "web page"),
        ("distinguished_name", "name of the entry in its directory"),
        ("system_name", "the system that a new user is placed on"),
        ("provisioning_rule", "the rule that a new user is made by"),
    ):
        limit = {"distinguished_name": 2048, "description": 4096, "info": 4096, "info2": 4096}
        yield Attribute(name, description, limit=limit.get(name, 256))
    yield Attribute("secondary_phones", "further telephone numbers", many=True)
    yield Attribute("groups", "the groups that the person belongs to", many=True, limit=1024)
    yield Attribute("object_class", "kinds of the entry in its directory", many=True)
    yield Attribute(
        "login_code", "code to log in at a telephone, 4-15 digits", secret=True, limit=15, digits=(4, 15)
    )
    yield Attribute("pin", "voice mailbox code, 0-31 digits", secret=True, limit=31, digits=(0, 31))
    yield Attribute("password", "password", secret=True)


class Vocabulary(Mapping[str, Attribute]):
    """The words by name; ``extended`` makes a larger vocabulary and never changes this one."""

    def __init__(self, words: Iterable[Attribute]) -> None:
        self._words: dict[str, Attribute] = {}
        for word in words:
            if word.name in self._words:
                raise ValueError(f"the attribute {word.name!r} is in the vocabulary already")
            if word.name in RESERVED or not word.name.isidentifier():
                raise ValueError(f"{word.name!r} cannot be the name of an attribute")
            self._words[word.name] = word
        self.keys_: tuple[str, ...] = tuple(name for name, word in self._words.items() if word.key)
        self.secrets: frozenset[str] = frozenset(name for name, word in self._words.items() if word.secret)

    def __getitem__(self, name: str) -> Attribute:
        return self._words[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __hash__(self) -> int:
        return hash(frozenset(self._words))

    def extended(self, words: Iterable[Attribute]) -> Vocabulary:
        """Return this vocabulary and ``words``; raises ValueError for a name that exists."""
        return Vocabulary([*self._words.values(), *words])

    def claims(self, values: Mapping[str, Value]) -> list[tuple[str, str]]:
        """Return the (attribute, folded value) pairs that an account with ``values`` holds alone, each once."""
        found: list[tuple[str, str]] = []
        for name in self.keys_:
            value = values.get(name)
            if value and isinstance(value, str):
                found.append((name, fold(value)))
            elif value:
                found.extend(dict.fromkeys((name, fold(text)) for text in value))
        return found


RESERVED = frozenset({"disabled_by", "deleted", "kind", "id", "anchor", "enterprise"})
"""Names that mean an account's state in a plan, and so cannot be attributes."""

VOCABULARY = Vocabulary(_words())
"""The words that every installation has."""
