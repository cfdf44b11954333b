"""What makes a value fit to be shown: known secrets, secret names, and whatever cannot be shown at all."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "***"
"""What stands in the place of a secret."""

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
"""As ``html.escape`` does, which would bring the names of all characters along."""

_LONGEST = 8000
_DEEPEST = 6

_LONG = (
    r"(?i:passw|passphrase|secret|token|credential|api[_-]?key|private[_-]?key|login[_-]?code"
    r"|authorization|cookie)"
)
_SHORT = r"(?:(?<![^\W_])(?i:pin|pwd|pw)|(?<=[a-z0-9])(?:Pin|PIN|Pwd|PWD))(?![a-z])"
_SECRET_NAME = re.compile(rf"{_LONG}|{_SHORT}")
# The counts keep a hostile text from costing more than a small multiple of its length.
_SECRET_IN_TEXT = re.compile(
    rf"""(?P<name>(?:{_LONG}|{_SHORT})[\w-]{{0,40}}['"]?\s{{0,3}}[:=]\s{{0,3}}[\[(]?b?)"""
    r"""(?P<quote>['"])(?:\\.|(?!(?P=quote))[^\\])*(?P=quote)""",
    re.DOTALL,
)
_USER_IN_URL = re.compile(r"(?<=://)([^\s/?#:@'\"]*):[^\s/?#@'\"]+@")


class Secrets:
    """The secret values that are known, as one pattern."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._pattern = re.compile(r"(?!)")
        self._changing = threading.Lock()

    def remember(self, value: str) -> None:
        """Hide ``value`` from now on; see ``logs.remember_secret``."""
        with self._changing:
            known = self._known | {text for text in (value, value.strip()) if text}
            if known != self._known:
                forms = {form for text in known if len(text) >= 4 for form in _forms(text)}
                longest_first = sorted(forms, key=lambda form: (-len(form), form))
                self._pattern = re.compile("|".join(map(_pattern, longest_first)) or r"(?!)")
                self._known = known

    def redact(self, text: str) -> str:
        """Return ``text`` without what is secret in it."""
        if text in self._known:
            return HIDDEN
        text = self._pattern.sub(HIDDEN, text)
        if "://" in text:
            text = _USER_IN_URL.sub(rf"\1:{HIDDEN}@", text)
        if "'" in text or '"' in text:
            text = _SECRET_IN_TEXT.sub(rf"\g<name>\g<quote>{HIDDEN}\g<quote>", text)
        return text


def _pattern(form: str) -> str:
    """Return ``form`` as a regular expression; hexadecimal digits behind % may be in either case."""
    return re.sub("%[0-9A-F]{2}", r"(?i:\g<0>)", re.escape(form))


def _forms(value: str) -> Iterator[str]:
    """Yield how ``value`` can be written inside other text."""
    yield value
    if len(value) < 6:
        return
    for once in (value, repr(value)[1:-1], json.dumps(value)[1:-1]):
        # twice as well; of both quotes repr escapes one alone, which depends on the text around
        yield from (once, repr(once)[1:-1], once.replace("\\", r"\\").replace("'", r"\'"))
    yield value.translate(_HTML)
    raw = value.encode("utf-8", "surrogatepass")
    yield repr(raw)[2:-1]
    yield from (quote(raw, safe=""), quote(raw), quote(raw, safe="!$&'()*+,;=:@/"), quote_plus(raw))
    for before in range(3):  # in base64 a text looks different at each offset from a multiple of 3
        encoded = base64.b64encode(b"\0" * before + raw).decode("ascii")
        whole = encoded[math.ceil(before * 8 / 6) : (before + len(raw)) * 8 // 6]
        yield whole
        yield whole.translate(str.maketrans("+/", "-_"))


def forms_of(values: Iterable[str]) -> tuple[str, ...]:
    """Return every way in which ``values`` may be written in a text, the longest first."""
    forms = {form for value in values if value for form in _forms(value)}
    return tuple(sorted(forms, key=lambda one: (-len(one), one)))


def is_secret(name: str) -> bool:
    """Tell whether what is called ``name`` is never shown, such as ``bind_password`` or ``vmPin``."""
    return _SECRET_NAME.search(name) is not None


def clean(value: Any, secrets: Secrets, depth: int = 0) -> Any:
    """Return ``value`` as what JSON has, without secrets; never raises.

    Texts of more than 8000 characters lose their middle, what is nested deeper than 6 levels its shape.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {
                secrets.redact(name): HIDDEN if is_secret(name) else clean(inner, secrets, depth + 1)
                for name, inner in ((as_text(name), inner) for name, inner in value.items())
            }
        if isinstance(value, (list, tuple, AbstractSet)):
            return [clean(inner, secrets, depth + 1) for inner in value]
    return _shortened(as_text(value), secrets)


def _shortened(text: str, secrets: Secrets) -> str:
    """Return ``text`` without secrets; cut only after they are gone, so that none is cut in two."""
    if len(text) <= _LONGEST:
        return secrets.redact(text)
    head, tail = secrets.redact(text[:_LONGEST]), secrets.redact(text[-_LONGEST:])
    return f"{head[: _LONGEST // 2]} ... {tail[-_LONGEST // 2 :]}"


def as_text(value: Any) -> str:
    """Return what a person would call ``value``; never raises."""
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "backslashreplace")
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {value}"
        return str(value)
    except Exception as error:  # noqa: BLE001 -- a foreign object's own text may raise anything
        return f"<{type(value).__name__} whose text raised {type(error).__name__}>"


SECRETS = Secrets()
"""The secrets of this process."""
