"""What is required of a platform."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from ...connector import Field, Platform
from ...errors import ConnectorError, Gone, Rejected
from ...model import Account, Delivery, Value
from .connectors import ConnectorConformance

AWKWARD = {
    "unicode": "Zoë Ångström 王小明 \U0001f642",
    "comma": "Meier, Anna; Büro=3, +1",
    "newline": "first line\nsecond line",
    "quotes": 'O\'Brien "Bob" `x` \\ end',
    "markup": "<b>&amp;</b> {x} %s",
    "formula": "=1+1",
    "4 KB": "abcdefgä" * 512,
}


class PlatformConformance(ConnectorConformance):
    """Subclass it and give the fixture ``platform``: one that has not been opened, over a world of its own.

    All goes through ``deliver``, as the engine does it. Override ``values`` where the kit cannot make up
    fields that the platform takes, and ``stored`` where the platform has no ``list`` to look with.
    Optional fixtures: ``unreachable`` and ``denied``.
    """

    lists: ClassVar[bool] = False
    """Set it if the platform has ``list`` and ``fingerprint``."""

    text_field: ClassVar[str | None] = None
    """The field that takes free text; by default the roomiest one that has no pattern and is no key."""

    @pytest.fixture
    def connector(self, platform: Platform) -> Platform:
        """The platform, for the tests that sources have as well."""
        return platform

    def use(self, connector: Platform) -> None:
        """Look for somebody who is not there."""
        connector.find(self.account(connector, 9))

    def values(self, platform: Platform, number: int) -> dict[str, Value]:
        """Return fields of the account ``number`` that the platform takes; keys differ by the number."""
        made = {name: _made_up(name, field, number) for name, field in platform.fields.items()}
        return {name: value for name, value in made.items() if value is not None}

    def stored(self, platform: Platform, remote_id: str) -> Mapping[str, Value] | None:
        """Return the fields that really stand there, read past the connector; None if that cannot be."""
        del platform, remote_id
        return None

    def account(self, platform: Platform, number: int, **changed: Value) -> Account:
        """Return the account ``number``, with fields ``changed``."""
        kind = "user" if "user" in platform.kinds else "contact"
        key = f"conformance-{number}"
        return Account(key, kind, enabled=True, fields={**self.values(platform, number), **changed})

    def test_it_says_whether_it_lists(self, platform: Platform) -> None:
        """``list`` and ``fingerprint`` are there, both or none, as this class says."""
        has = {name: getattr(type(platform), name) is not getattr(Platform, name) for name in _LISTING}

        assert has == dict.fromkeys(_LISTING, self.lists)

    def test_fields_are_declared(self, platform: Platform) -> None:
        """Every field names its attribute, describes itself, and has a pattern that compiles, if any."""
        assert platform.fields
        assert platform.kinds <= {"user", "contact"}
        for name, field in platform.fields.items():
            assert field.attribute, f"{name} names no attribute"
            assert field.description, f"{name} has no description"
            assert re.compile(field.pattern or "")
            assert field.limit is None or field.limit > 0

    def test_an_added_account_is_found(self, opened: Platform) -> None:
        """``find`` knows an account after ``add``, by the id that was returned, and not before."""
        account = self.account(opened, 1)

        assert opened.find(account) is None

        remote_id = _do(opened, "add", account)

        assert remote_id
        assert isinstance(remote_id, str)
        assert opened.find(account) == remote_id
        assert opened.find(self.account(opened, 2)) is None

    def test_many_are_found_as_each_of_them_is(self, opened: Platform) -> None:
        """``find_all`` answers for every account, in their order, what ``find`` does."""
        accounts = [self.account(opened, number) for number in (1, 2, 3)]
        remote_id = _do(opened, "add", accounts[1])

        assert list(opened.find_all(accounts)) == [None, remote_id, None]

    def test_adding_twice_makes_one_account(self, opened: Platform) -> None:
        """An add whose answer was lost is repeated: it takes over what it made, and doubles nothing."""
        account = self.account(opened, 1)
        first = _do(opened, "add", account)
        world = self._world(opened)

        assert _do(opened, "add", account) == first
        assert self._world(opened) == world

    def test_deleting_twice_is_harmless(self, opened: Platform) -> None:
        """A deleted account is not found, and a second delete is a success."""
        account = self.account(opened, 1)
        remote_id = _do(opened, "add", account)
        _do(opened, "delete", account, remote_id)

        assert opened.find(account) is None

        _do(opened, "delete", account, remote_id)

    def test_an_update_of_what_vanished_is_gone(self, opened: Platform) -> None:
        """An update of a remote id that is not there any more is Gone: never a silent success."""
        account = self.account(opened, 1)
        remote_id = _do(opened, "add", account)
        _do(opened, "delete", account, remote_id)
        with pytest.raises(Gone):
            _do(opened, "update", account, remote_id, frozenset(account.fields))

    def test_a_disabled_account_is_still_found(self, opened: Platform) -> None:
        """Disabling and enabling keep the account and its id; either may be repeated."""
        account = self.account(opened, 1)
        remote_id = _do(opened, "add", account)
        for action, enabled in (("disable", False), ("disable", False), ("enable", True), ("enable", True)):
            account = replace(account, enabled=enabled)
            _do(opened, action, account, remote_id)

            assert opened.find(account) == remote_id
            self._stands(opened, remote_id, account)

    def test_an_update_changes_what_it_names(self, opened: Platform) -> None:
        """After an update the account is as it was asked for, under the same id."""
        field = self._text_field(opened)
        account = self.account(opened, 1, **{field: "before"})
        remote_id = _do(opened, "add", account)
        account = self.account(opened, 1, **{field: "after"})
        _do(opened, "update", account, remote_id, frozenset({field}))

        assert opened.find(account) == remote_id
        self._stands(opened, remote_id, account)

    def test_an_empty_value_clears_the_field(self, opened: Platform) -> None:
        """A changed field that the account has no value for loses its value on the platform."""
        field = self._text_field(opened)
        if opened.fields[field].required:
            pytest.skip(f"{field} is required")
        account = self.account(opened, 1, **{field: "to be cleared"})
        remote_id = _do(opened, "add", account)
        fields = {name: value for name, value in account.fields.items() if name != field}
        account = replace(account, fields=fields)
        _do(opened, "update", account, remote_id, frozenset({field}))

        self._stands(opened, remote_id, account)

    @pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in AWKWARD.items()])
    def test_awkward_values_survive(self, opened: Platform, text: str) -> None:
        """A value arrives as it is, by add and by update, or is Rejected; it is never mangled."""
        field = self._text_field(opened)
        text = text[: opened.fields[field].limit]
        pattern = opened.fields[field].pattern
        if pattern and not re.fullmatch(pattern, text):
            pytest.skip("the field's pattern keeps such values away")
        try:
            added, changed = self.account(opened, 1, **{field: text}), self.account(opened, 2)
            self._stands(opened, _do(opened, "add", added), added)
            remote_id = _do(opened, "add", changed)
            changed = self.account(opened, 2, **{field: text})
            _do(opened, "update", changed, remote_id, frozenset({field}))
        except Rejected as refusal:
            pytest.skip(f"rejected: {refusal}")
        if not self._stands(opened, remote_id, changed):
            pytest.skip("accepted; but there is neither list nor stored() to see how it arrived")

    def test_the_inverse_leaves_the_world_as_it_was(self, opened: Platform) -> None:
        """Add and delete, update and update back, disable and enable: nothing remains."""
        empty = self._world(opened)
        field = self._text_field(opened)
        account, other = (self.account(opened, 1, **{field: text}) for text in ("before", "after"))
        remote_id = _do(opened, "add", account)
        world = self._world(opened)
        _do(opened, "update", other, remote_id, frozenset({field}))
        _do(opened, "update", account, remote_id, frozenset({field}))

        assert self._world(opened) == world

        _do(opened, "disable", replace(account, enabled=False), remote_id)
        _do(opened, "enable", account, remote_id)

        assert self._world(opened) == world

        _do(opened, "delete", account, remote_id)

        assert self._world(opened) == empty
        assert opened.find(account) is None

    def test_there_is_one_outcome_per_delivery_in_order(self, opened: Platform) -> None:
        """A bad record among good ones is one outcome with an error; the others are done."""
        lost = self.account(opened, 1)
        vanished = _do(opened, "add", lost)
        _do(opened, "delete", lost, vanished)
        deliveries = [
            Delivery(11, "add", 1, None, self.account(opened, 2)),
            Delivery(7, "update", 2, vanished, lost, frozenset(lost.fields)),
            Delivery(9, "update", 3, None, self.account(opened, 3), frozenset(lost.fields)),
            Delivery(12, "add", 4, None, self.account(opened, 4)),
        ]
        outcomes = list(opened.deliver(iter(deliveries)))

        assert [outcome.id for outcome in outcomes] == [11, 7, 9, 12]
        assert [outcome.error for outcome in outcomes if outcome.id in {11, 12}] == [None, None]
        for outcome in outcomes[1:3]:
            assert isinstance(outcome.error, ConnectorError), f"{outcome.id} needs an error"
        assert opened.find(self.account(opened, 4)) == outcomes[3].remote_id

    def test_nothing_to_deliver_is_nothing(self, opened: Platform) -> None:
        """No deliveries, no outcomes."""
        assert list(opened.deliver([])) == []

    def test_the_list_agrees_with_the_fingerprint(self, opened: Platform) -> None:
        """``list`` yields every account once, with the fingerprint that ``fingerprint`` gives it."""
        self._needs_list()
        field = self._text_field(opened)
        accounts = [self.account(opened, number) for number in (1, 2, 3)]
        before = self._world(opened)
        expected = {_do(opened, "add", account): opened.fingerprint(account) for account in accounts}
        listed = list(opened.list())

        assert dict(listed) == {**before, **expected}
        assert len(listed) == len(dict(listed))
        assert opened.fingerprint(accounts[0]) != opened.fingerprint(self.account(opened, 1, **{field: "x"}))
        assert opened.fingerprint(accounts[0]) != opened.fingerprint(replace(accounts[0], enabled=False))

    def _world(self, platform: Platform) -> dict[str, str]:
        return dict(platform.list()) if self.lists else {}

    def _stands(self, platform: Platform, remote_id: str, account: Account) -> bool:
        """Assert that the platform has exactly this account; return False if nothing lets us look."""
        fields = self.stored(platform, remote_id)
        if fields is not None:
            there = {name: value for name, value in fields.items() if value}
            assert there == {name: value for name, value in account.fields.items() if value}
        if self.lists:
            assert dict(platform.list())[remote_id] == platform.fingerprint(account)
        return self.lists or fields is not None

    def _needs_list(self) -> None:
        if not self.lists:
            pytest.skip("has no list")

    def _text_field(self, platform: Platform) -> str:
        if self.text_field is not None:
            return self.text_field
        free = {
            name: 1 << 30 if field.limit is None else field.limit
            for name, field in platform.fields.items()
            if not (field.pattern or field.key or field.many or field.secret)
        }
        return max(free, key=lambda name: free[name]) if free else pytest.skip("has no field of free text")


_LISTING = ("list", "fingerprint")


def _do(
    platform: Platform,
    action: str,
    account: Account,
    remote_id: str | None = None,
    changed: frozenset[str] = frozenset(),
) -> Any:
    """Deliver one thing, and raise the error of its outcome."""
    outcomes = list(platform.deliver([Delivery(1, action, 1, remote_id, account, changed)]))
    assert [outcome.id for outcome in outcomes] == [1]
    if outcomes[0].error is not None:
        raise outcomes[0].error
    return outcomes[0].remote_id


def _made_up(name: str, field: Field, number: int) -> Value | None:
    """Return a value that the field takes, or None where it can do without."""
    guesses = (f"{name}-{number}", f"{name}{number}", str(4000 + number), f"person{number}@syncd.example")
    for guess in (*guesses, f"+494012340{number}", f"{number:04}", str(number)):
        fits = field.limit is None or len(guess) <= field.limit
        if fits and (field.pattern is None or re.fullmatch(field.pattern, guess)):
            return (guess,) if field.many else guess
    if field.required:
        pytest.fail(f"no value can be made up for the field {name!r}: override values()")
    return None
