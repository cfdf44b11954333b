"""Configured observers and where the metrics go: from the file to what is told."""

from __future__ import annotations

import threading

import pytest
from catalogs import CATALOG, SMALL, problems_in, write_to
from servers.smtp import MailServer

from syncd import Context, Event, Observer
from syncd.config import load, show
from syncd.pipeline.opening import plugins_for, settings_for
from syncd.plugins import load as load_plugins

EVENT = Event("run_planned", "2026-01-05T08:00:00Z", {"run": 7})
OPS = (
    '[observer.ops]\ntype = "mail"\nhost = "mail"\nsender = "syncd@acme.example"\nto = ["ops@acme.example"]\n'
)


@pytest.fixture
def loaded(tmp_path):
    return lambda text, **environ: load([write_to(tmp_path, text + SMALL)], CATALOG, environ)


@pytest.fixture
def problems(tmp_path):
    return lambda text: problems_in(tmp_path, write_to(tmp_path, SMALL + text))


class TestWhereTheMetricsGo:
    def test_nowhere_without_a_word(self, loaded):
        metrics = loaded("").metrics

        assert (None, None) == (metrics.textfile, metrics.listen)

    def test_into_the_runtime_directory_of_the_service(self, loaded):
        settings = loaded("", RUNTIME_DIRECTORY="/run/syncd:/run/other")

        assert "/run/syncd/syncd.prom" == str(settings.metrics.textfile)
        assert ("metrics.textfile", "/run/syncd/syncd.prom", "environment RUNTIME_DIRECTORY") in [
            (path, value, str(origin)) for path, value, origin in show(settings)
        ]

    def test_what_is_written_beats_that_and_off_is_nowhere(self, loaded):
        written = loaded('metrics = { textfile = "/srv/syncd.prom" }\n', RUNTIME_DIRECTORY="/run/syncd")
        off = loaded('metrics = { textfile = "off", listen = "off" }\n', RUNTIME_DIRECTORY="/run/syncd")

        assert "/srv/syncd.prom" == str(written.metrics.textfile)
        assert (None, None) == (off.metrics.textfile, off.metrics.listen)

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:9464", ("127.0.0.1", 9464)),
            ("127.8.8.8:1", ("127.8.8.8", 1)),
            ("localhost:9464", ("localhost", 9464)),
            ("[::1]:65535", ("::1", 65535)),
        ],
    )
    def test_on_an_address_of_this_machine(self, loaded, text, address):
        assert address == loaded(f'metrics.listen = "{text}"\n').metrics.listen

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "[::]", "mail.acme.example"])
    def test_and_on_no_other(self, tmp_path, host):
        (problem,) = problems_in(tmp_path, write_to(tmp_path, f'metrics.listen = "{host}:9464"\n' + SMALL))

        assert problem.startswith(
            f"syncd.toml:1: metrics.listen: '{host.strip('[]')}' can be reached from other machines"
        )
        assert 'write "127.0.0.1:9464"' in problem

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                'listen = "9464"',
                "metrics.listen: '9464' must be an address and a port, such as \"127.0.0.1:9464\"",
            ),
            ('listen = "127.0.0.1:0"', "metrics.listen: '127.0.0.1:0' must be an address and a port"),
            ('listen = "127.0.0.1:65536"', "metrics.listen: '127.0.0.1:65536' must be an address and a port"),
            ('listen = "::1:9464"', "metrics.listen: '::1:9464' must be an address and a port"),
            ("listen = 9464", "metrics.listen: must be a text"),
            (
                'textfile = "syncd.prom"',
                "metrics.textfile: 'syncd.prom' must begin with / and end with .prom",
            ),
            (
                'textfile = "/run/syncd.txt"',
                "metrics.textfile: '/run/syncd.txt' must begin with / and end with .prom",
            ),
            ('text_file = "off"', "metrics.text_file: unknown key; did you mean 'textfile'?"),
        ],
    )
    def test_what_cannot_be_is_told(self, tmp_path, text, message):
        (problem,) = problems_in(tmp_path, write_to(tmp_path, f"metrics = {{ {text} }}\n" + SMALL))

        assert message in problem


class TestConfiguration:
    def test_an_observer_has_the_options_of_its_plugin(self, tmp_path):
        settings = load([write_to(tmp_path, SMALL + OPS)], CATALOG, {})
        (ops,) = settings.observers.values()

        assert ("ops", "mail", "starttls", ["ops@acme.example"]) == (
            ops.name, ops.type, ops.options.tls, ops.options.to,
        )  # fmt: skip
        assert "mail" == settings.plain["observer.ops.type"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[observer.ops]\n", "observer.ops.type: is missing"),
            (
                '[observer.ops]\ntype = "male"\n',
                "observer.ops.type: there is no observer type 'male'; did you mean 'mail'?",
            ),
            (OPS + "too = 1\n", "observer.ops.too: unknown key; did you mean 'to'?"),
            (
                OPS + 'user = "syncd"\npassword = "geheim"\n',
                "observer.ops.password: is a secret, and this file is no place",
            ),
            (OPS.replace("observer.ops", 'observer."o ps"'), "must be named with 1 to 64 letters"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, problems, text, message):
        assert any(message in one for one in problems(text)), problems(text)

    def test_no_secret_is_told(self, problems):
        assert "geheim" not in str(problems(OPS + 'user = "syncd"\npassword = "geheim"\n'))


class Seeing(Observer):
    """Notes what is done with it, and by which thread."""

    def __init__(self, options, context):
        super().__init__(options, context)
        self.seen = []

    def open(self):
        self._note("open")

    def observe(self, event):
        self._note(event.name)

    def close(self):
        self._note("close")

    def _note(self, what):
        self.seen.append((what, threading.current_thread().name))


def seeing(kind=Seeing):
    return kind(None, Context("ops", None, str))


class TestTelling:
    def test_it_is_opened_told_and_closed_by_the_observers_thread(self):
        hooks, one = load_plugins([]).hooks, seeing()
        hooks.add_observer("ops", "acme", lambda: one)
        hooks.observe(EVENT)
        hooks.observe(EVENT)

        assert 0 == hooks.close()
        assert [
            (what, "syncd-observers") for what in ("open", "run_planned", "run_planned", "close")
        ] == one.seen

    def test_one_that_is_never_told_anything_is_never_made(self):
        hooks, made = load_plugins([]).hooks, []
        hooks.add_observer("ops", "acme", lambda: made.append(True))
        hooks.close()

        assert [] == made

    def test_what_it_does_wrong_is_reported_once_with_its_name_and_stops_no_other(self):
        hooks, reported, one = load_plugins([]).hooks, [], seeing()
        hooks.report = reported.append
        hooks.add_observer("broken", "acme", lambda: 1 / 0)
        hooks.add_observer("ops", "acme", lambda: one)
        for _ in range(3):
            hooks.observe(EVENT)
        hooks.close()

        assert 5 == len(one.seen)
        (failure,) = reported
        assert ("acme", True) == (failure.plugin, "observer broken raised ZeroDivisionError" in str(failure))

    def test_one_that_cannot_be_opened_yet_is_tried_again(self):
        class Later(Seeing):
            def open(self):
                super().open()
                if len(self.seen) == 1:
                    raise OSError("not yet")

        hooks, one = load_plugins([]).hooks, seeing(Later)
        hooks.report = lambda _failure: None
        hooks.add_observer("ops", "acme", lambda: one)
        hooks.observe(EVENT)
        hooks.observe(EVENT)
        hooks.close()

        assert ["open", "open", "run_planned", "close"] == [what for what, _ in one.seen]

    def test_one_that_raises_when_it_is_closed_harms_nobody(self):
        class Bad(Seeing):
            def close(self):
                raise OSError("no")

        hooks, one, other = load_plugins([]).hooks, seeing(Bad), seeing()
        hooks.add_observer("bad", "acme", lambda: one)
        hooks.add_observer("ops", "acme", lambda: other)
        hooks.observe(EVENT)

        assert 0 == hooks.close()
        assert "close" == other.seen[-1][0]


def test_from_a_line_of_the_configuration_to_a_mail(tmp_path):
    """The shipped plugin is found by its word, and told what the watch sees."""
    from line_world import in_memory

    from syncd.pipeline.installation import Installation, begin_observing
    from syncd.pipeline.publishing import Watch

    with MailServer() as server:
        text = f'state_directory = "{tmp_path}"\n{OPS}port = {server.port}\ntls = "none"\n'.replace(
            '"mail"\nsender', '"127.0.0.1"\nsender'
        )
        file = write_to(tmp_path, text)
        plugins = plugins_for((file,), {})
        settings = settings_for((file,), {}, plugins)
        database = in_memory()
        with database.transaction() as conn:
            conn.execute(
                "INSERT INTO runs (enterprise, kind, mode, state, actor, started_at, objections)"
                " VALUES ('acme', 'policy', 'none', 'held', 'ada', '2026-01-05T08:00:00Z', '[[\"add\",\"run\",\"m\",\"s\"]]')"
            )
        here = Installation(settings, plugins, database, "ada", str)
        begin_observing(here)
        Watch(here.clock()).look(here)

        assert 0 == plugins.hooks.close(10)
        (mail,) = server.mails

    assert "WARNING: enterprise acme: run 1 (policy) is held" in mail["Subject"]
    assert "begin with: syncd runs 1" in mail.get_content()
