"""What is required of sources, platforms and observers alike."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, get_args

import pytest

from ...connector import Connector
from ...errors import Denied, Unavailable


class ConnectorConformance:
    """The part that all kinds share; a subclass gives the fixture ``connector``.

    Optional fixtures: ``unreachable`` is a connector whose other side is not there, ``denied`` is one
    whose password is wrong. Without them those tests are skipped, and say so.
    """

    def use(self, connector: Any) -> None:
        """Do the least that needs the other side; ``open`` was called before."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self, connector: Connector) -> Iterator[Connector]:
        """The connector between its ``open`` and its ``close``."""
        connector.open()
        yield connector
        connector.close()

    def test_constructing_it_touches_no_network(
        self, connector: Connector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The configuration can be checked offline: a constructor opens no socket and looks up no name."""

        def refuse(*_: Any, **__: Any) -> Any:
            pytest.fail("the constructor uses the network; do that in open()")

        for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
            monkeypatch.setattr(socket, name, refuse)
        again(connector)

    def test_options_are_described_and_refuse_unknown_names(self, connector: Connector) -> None:
        """Options, and the models inside them, have extra="forbid" and a description for every field."""
        for model in _models(type(connector).Options):
            undescribed = [name for name, field in model.model_fields.items() if not field.description]

            assert model.model_config.get("extra") == "forbid", f"{model.__name__} takes any name"
            assert undescribed == [], f"fields of {model.__name__} without a description"

    def test_check_tells_lines(self, opened: Connector) -> None:
        """``check`` yields texts, a line each."""
        lines = list(opened.check())

        assert [line for line in lines if not isinstance(line, str) or "\n" in line] == []

    def test_closing_is_harmless(self, connector: Connector) -> None:
        """``close`` may come twice, and without ``open``."""
        connector.close()
        connector.open()
        connector.close()
        connector.close()

    def test_it_can_be_opened_again(self, connector: Connector) -> None:
        """After ``close`` the same object can be opened and used again."""
        for _ in range(2):
            connector.open()
            with closing(connector):
                self.use(connector)

    def test_a_dead_host_is_unavailable(self, request: pytest.FixtureRequest) -> None:
        """When the other side is not there, ``open`` or the first use raises Unavailable."""
        with pytest.raises(Unavailable):
            self._open_and_use(optional(request, "unreachable"))

    def test_a_wrong_password_is_denied(self, request: pytest.FixtureRequest) -> None:
        """When the other side refuses the identity, ``open`` or the first use raises Denied."""
        with pytest.raises(Denied):
            self._open_and_use(optional(request, "denied"))

    def _open_and_use(self, connector: Connector) -> None:
        with closing(connector):
            connector.open()
            self.use(connector)


def given(request: pytest.FixtureRequest, name: str) -> Any:
    """Return the fixture ``name``, or None where the author has not written it."""
    try:
        return request.getfixturevalue(name)
    except pytest.FixtureLookupError as error:
        if error.argname != name:
            raise
        return None


def optional(request: pytest.FixtureRequest, name: str) -> Any:
    """Return the fixture ``name``, or skip the test, visibly, where the author has not written it."""
    fixture = given(request, name)
    return pytest.skip(f"no fixture {name!r}") if fixture is None else fixture


def again(connector: Connector) -> Connector:
    """Return another connector of the same kind, options and context."""
    make: Callable[..., Connector] = type(connector)
    return make(connector.options, connector.context)


def _models(model: Any) -> list[Any]:
    """Return a pydantic model and every model that its fields hold, however deep."""
    found: list[Any] = []
    waiting = [model]
    while waiting:
        one = waiting.pop()
        if hasattr(one, "model_fields") and one not in found:
            found.append(one)
            waiting.extend(field.annotation for field in one.model_fields.values())
        waiting.extend(get_args(one))
    return found
