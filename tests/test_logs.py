"""The log: what a line holds, and what it never does."""

import base64
import dataclasses
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st

from syncd import logs
from syncd.errors import ConfigError
from syncd.logs import journal, redaction
from syncd.model import VOCABULARY

SECRET = "Tr0ub/4=dor&3"


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """An own set of known secrets, no journald, and the logging of the process as it was."""
    monkeypatch.setattr(redaction, "SECRETS", redaction.Secrets())
    monkeypatch.setattr(journal, "SOCKET", Path("/nonexistent"))
    monkeypatch.setattr(logs, "_threshold", 0)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    root, quiet = logging.getLogger(), logging.getLogger("ldap3")
    before = (list(root.handlers), root.level, quiet.propagate, list(quiet.handlers))
    yield redaction.SECRETS
    root.handlers[:], root.level, quiet.propagate, quiet.handlers[:] = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def line(stream):
    """Say one event and return the line, read back."""
    logs.configure(stream=stream, level="debug")

    def said(event="run_ended", level="info", **fields):
        getattr(logs.get_log("syncd.test"), level)(event, **fields)
        return json.loads(stream.getvalue().splitlines()[-1])

    return said


def fail(error):
    raise error


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestLine:
    def test_a_line_begins_with_time_level_and_event(self, line):
        found = line("run_planned", operations=3)

        assert ["timestamp", "level", "event", "logger", "operations"] == list(found)
        assert ("info", "run_planned", 3) == (found["level"], found["event"], found["operations"])
        assert found["timestamp"].endswith("Z")

    def test_what_is_bound_stands_in_every_line_of_the_block(self, line):
        with logs.bound(run=7, connection="hq", platform=None):
            with logs.bound(platform="pbx"):
                inner = line()
            outer = line()
        after = line()

        assert (7, "hq", "pbx") == (inner["run"], inner["connection"], inner["platform"])
        assert {"run", "connection"} == {"run", "connection", "platform"} & set(outer)
        assert not {"run", "connection"} & set(after)

    def test_bind_returns_a_log_with_more_fields(self, stream, line):
        logs.get_log("syncd.test").bind(platform="pbx").info("delivery_started", account=4)

        found = json.loads(stream.getvalue())
        assert ("pbx", 4) == (found["platform"], found["account"])

    @pytest.mark.parametrize(
        ("level", "shown"),
        [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
    )
    def test_a_level_lets_through_itself_and_what_is_worse(self, stream, level, shown):
        logs.configure(stream=stream, level=level)
        for each in logs.LEVELS:
            getattr(logs.get_log("syncd.test"), each)("run_ended")

        assert shown == len(stream.getvalue().splitlines())

    def test_a_level_that_does_not_exist_is_a_configuration_error(self):
        with pytest.raises(ConfigError, match="no log level 'loud'; it is one of debug, info"):
            logs.configure(level="loud")

    def test_a_terminal_gets_text_and_all_else_json(self, monkeypatch):
        monkeypatch.setenv("NO_COLOR", "1")
        terminal = Terminal()
        logs.configure(stream=terminal)
        logs.get_log("syncd.test").info("run_ended", connection="hq")

        assert "run_ended" in terminal.getvalue()
        assert "connection=hq" in terminal.getvalue()
        assert "\x1b" not in terminal.getvalue()

    def test_the_form_can_be_chosen(self, stream):
        terminal = Terminal()
        logs.configure(stream=terminal, json=True)
        logs.get_log("syncd.test").info("run_ended")
        logs.configure(stream=stream, json=False)
        logs.get_log("syncd.test").info("run_ended")

        assert "run_ended" == json.loads(terminal.getvalue())["event"]
        assert "[info" in stream.getvalue()

    def test_a_value_cannot_move_the_cursor_of_a_terminal(self, stream):
        logs.configure(stream=stream, json=False)
        logs.get_log("syncd.test").warning("entry_unreadable", message="a\x1b[2J\u202e\x9b", anchor="x\ry")

        assert not set("\x1b\u202e\x9b\r") & set(stream.getvalue())

    def test_a_value_cannot_begin_a_line_of_its_own(self, stream):
        logs.configure(stream=stream, json=False)
        logs.get_log("syncd.test").warning("entry_unreadable", message='x\n{"event": "run_ended"}')

        assert 1 == len(stream.getvalue().splitlines())

    def test_an_exception_is_told_without_the_local_variables(self, line):
        def log_in(local):
            return int(local)

        try:
            log_in(bytes(reversed(b"not-to-be-shown")))
        except ValueError:
            found = line("run_failed", "exception")

        assert "error" == found["level"]
        assert "in log_in" in found["exception"]
        assert "local = " not in found["exception"]

    def test_without_configuration_lines_go_to_stderr_as_it_is_by_then(self, capsys):
        logs.get_log("syncd.test").info("run_ended")

        assert "run_ended" == json.loads(capsys.readouterr().err)["event"]

    def test_events_can_be_captured_by_the_tests_of_others(self):
        with structlog.testing.capture_logs() as captured:
            logs.get_log("syncd.test").info("run_ended", operations=0)

        assert [("run_ended", 0)] == [(event["event"], event["operations"]) for event in captured]


class TestJournal:
    def test_under_journald_every_line_begins_with_its_priority(self, tmp_path, monkeypatch):
        with (tmp_path / "journal").open("w") as journal:
            status = os.fstat(journal.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
            logs.configure(stream=journal, level="debug")
            for level in logs.LEVELS:
                getattr(logs.get_log("syncd.test"), level)("run_ended")

        starts = [text[:4] for text in (tmp_path / "journal").read_text().splitlines()]
        assert ["<7>{", "<6>{", "<4>{", "<3>{"] == starts

    def test_another_stream_of_the_service_has_no_priorities(self, stream, monkeypatch):
        monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
        logs.configure(stream=stream)
        logs.get_log("syncd.test").info("run_ended")

        assert stream.getvalue().startswith("{")


def written(form):
    """The secret as others write it."""
    return {
        "as it is": SECRET,
        "in text": f"bind failed with {SECRET}!",
        "in a URL": f"https://x.example/?p={urllib.parse.quote(SECRET, safe='')}",
        "in a path": urllib.parse.quote(SECRET),
        "in a form": urllib.parse.urlencode({"p": SECRET}),
        "in lower case percent": urllib.parse.quote(SECRET, safe="").replace("%2F", "%2f"),
        "in base64": base64.b64encode(SECRET.encode()).decode(),
        "in basic authorization": "Basic " + base64.b64encode(f"syncd:{SECRET}".encode()).decode(),
        "in other base64": base64.urlsafe_b64encode(b"ab" + SECRET.encode() + b"cd").decode(),
        "in XML": f"<password>{SECRET.replace('&', '&amp;')}</password>",
        "as bytes": f"said {SECRET}".encode(),
        "in a list": ["a", ("b", SECRET)],
        "in a set": {SECRET},
        "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": SECRET}}}}}}},
        "as a key": {SECRET: 1},
        "in an exception": ValueError(SECRET),
        "in an object": Holder(SECRET),
    }[form]


class Holder:
    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"Holder({self.held!r})"


FORMS = [
    "as it is",
    "in text",
    "in a URL",
    "in a path",
    "in a form",
    "in lower case percent",
    "in base64",
    "in basic authorization",
    "in other base64",
    "in XML",
    "as bytes",
    "in a list",
    "in a set",
    "deep",
    "as a key",
    "in an exception",
    "in an object",
]


class TestKnownSecrets:
    @pytest.mark.parametrize("as_json", [True, False])
    @pytest.mark.parametrize("form", FORMS)
    def test_a_known_secret_is_in_no_line(self, stream, form, as_json):
        logs.configure(stream=stream, json=as_json, secrets=[SECRET])
        logs.get_log("syncd.test").info("run_failed", found=written(form))

        text = stream.getvalue()
        assert "***" in text
        for hidden in ("Tr0ub", "dor&3", "dor%263", base64.b64encode(SECRET.encode()).decode()[4:12]):
            assert hidden not in text

    def test_a_known_secret_is_not_in_the_text_of_an_exception(self, stream):
        logs.configure(stream=stream, secrets=[SECRET])

        def log_in():
            try:
                fail(OSError(f"cannot log in with {SECRET}"))
            except OSError as error:
                raise RuntimeError(f"because of {error}") from error

        try:
            log_in()
        except RuntimeError:
            logs.get_log("syncd.test").exception("run_failed")

        assert "Tr0ub" not in stream.getvalue()
        assert "cannot log in with ***" in stream.getvalue()

    @pytest.mark.parametrize(
        "secret", ["a\"b\\c'd", "line\nbreak", "Grüße, Jürgen", "  spaces  ", "\x00\x01\x7f!!!"]
    )
    def test_escapes_do_not_hide_a_secret_from_us(self, line, secret):
        logs.remember_secret(secret)
        found = line(plain=secret, quoted=f"{secret!r}", twice=repr(repr(secret)), dumped=json.dumps(secret))

        for name in ("plain", "quoted", "twice", "dumped"):
            assert "***" == found[name].strip("\"'\\"), name

    def test_a_secret_remembered_later_holds_for_logs_made_before(self, stream, line):
        log = logs.get_log("syncd.test")
        logs.remember_secret(SECRET)
        log.info("run_ended", found=SECRET)

        assert "Tr0ub" not in stream.getvalue()

    def test_a_very_short_secret_is_hidden_only_where_it_is_all(self, line):
        logs.remember_secret("123")
        found = line(alone="123", number="room 1234")

        assert ("***", "room 1234") == (found["alone"], found["number"])

    def test_a_short_secret_is_hidden_anywhere(self, line):
        logs.remember_secret("4711")

        assert "code *** is wrong" == line(found="code 4711 is wrong")["found"]

    def test_an_empty_secret_hides_nothing(self, line):
        logs.remember_secret("")
        logs.remember_secret("  ")

        assert "a b" == line(found="a b")["found"]

    def test_of_two_secrets_the_longer_goes_first(self, line):
        logs.remember_secret("secret")
        logs.remember_secret("secret-and-more")

        assert "x *** y" == line(found="x secret-and-more y")["found"]

    def test_a_secret_is_not_cut_in_two_by_the_limit_of_a_text(self, line):
        logs.remember_secret(SECRET)
        for before in range(3990, 4001):
            assert "Tr0" not in line(found="x" * before + SECRET + "y" * 9000)["found"]

    @given(
        secret=st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=6, max_size=40),
        before=st.text(max_size=20),
        after=st.text(max_size=20),
    )
    def test_whatever_the_secret_it_is_gone(self, secret, before, after):
        known = redaction.Secrets()
        assume(secret == secret.strip())
        known.remember(secret)
        shown = redaction.clean([before + secret + after, {"a": secret}, repr(secret)], known)

        assert "***" == shown[1]["a"]
        assert secret not in shown[0]
        assert "***" in shown[2]


class TestSecretNames:
    @pytest.mark.parametrize(
        "name",
        [
            *("password", "bind_password", "vmPassword", "pwd", "pin", "vmPin", "pin_code", "login_code"),
            *("loginCode", "token", "access_token", "Authorization", "Set-Cookie", "api_key", "sipSecret"),
        ],
    )
    def test_the_value_of_a_secret_name_is_never_shown(self, line, name):
        assert "***" == line(**{name: "1234"})[name]
        assert "***" == line(nested={"deeper": [{name: ("1234",)}]})["nested"]["deeper"][0][name]

    @pytest.mark.parametrize(
        "name", ["mapping", "shopping", "operation", "opinion", "login", "key", "spinning"]
    )
    def test_other_names_are_shown(self, line, name):
        assert "1234" == line(**{name: "1234"})[name]

    def test_every_secret_attribute_of_the_vocabulary_is_a_secret_name(self):
        assert set() == {name for name in VOCABULARY.secrets if not redaction.is_secret(name)}

    def test_a_dataclass_is_shown_field_by_field(self, line):
        @dataclasses.dataclass
        class Person:
            login: str
            pin: str

        assert {"login": "ada", "pin": "***"} == line(person=Person("ada", "4711"))["person"]

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("{'pin': '4711', 'login': 'ada'}", "{'pin': '***', 'login': 'ada'}"),
            ("{'pin': ('4711',)}", "{'pin': ('***',)}"),
            ('{"vmPassword": "a\\"b", "n": "1"}', '{"vmPassword": "***", "n": "1"}'),
            ("bind(password='it')", "bind(password='***')"),
            ("secret=b'it'", "secret=b'***'"),
            ("the mapping: 'a' is good", "the mapping: 'a' is good"),
            ("ldap://cn=x:pass@host/", "ldap://cn=x:***@host/"),
            ("see https://host:636/path", "see https://host:636/path"),
        ],
    )
    def test_the_text_of_others_is_searched_for_secret_names(self, text, shown):
        assert shown == logs.redact(text)

    @pytest.mark.parametrize(
        "part", ["a-", "pin='", "pw-", "passw", "token_", "'", "\\", "://a:", "pin " * 9]
    )
    def test_a_hostile_text_costs_no_more_than_its_length(self, part):
        text = "pin='" + part * (200_000 // len(part)) + '"'
        logs.remember_secret(SECRET)
        began = time.process_time()
        logs.redact(text)

        assert time.process_time() - began < 2


class Unwilling:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class TestNeverRaises:
    @pytest.mark.parametrize("as_json", [True, False])
    @pytest.mark.parametrize(
        "value",
        [
            Unwilling(),
            {Unwilling(): Unwilling()},
            [float("nan"), float("inf")],
            b"\xff\x00",
            "\ud800",
            10**5000,
            object,
        ],
        ids=str.__class__,
    )
    def test_any_value_makes_a_line(self, stream, value, as_json):
        logs.configure(stream=stream, json=as_json)
        logs.get_log("syncd.test").info("run_ended", found=value)

        assert "run_ended" in stream.getvalue()
        assert 1 == len(stream.getvalue().splitlines())

    def test_a_value_that_holds_itself_makes_a_line(self, line):
        ring = {}
        ring["ring"] = ring

        assert "run_ended" == line(found=ring)["event"]

    def test_a_mapping_that_raises_makes_a_line(self, line):
        class Broken(dict):
            def items(self):
                raise KeyError(SECRET)

        assert {"level": "info", "event": "run_ended", "lost": "KeyError"} == line(found=Broken())

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
            max_leaves=12,
        )
    )
    def test_whatever_is_said_can_be_read_back(self, value):
        shown = redaction.clean(value, redaction.Secrets())

        assert shown == json.loads(json.dumps(shown, allow_nan=False))

    def test_a_stream_that_cannot_be_written_breaks_nothing(self, tmp_path):
        closed = (tmp_path / "closed").open("w")
        closed.close()
        full = Path("/dev/full").open("w")  # noqa: SIM115 -- closing it fails too
        for stream in (closed, full):
            logs.configure(stream=stream)
            logs.get_log("syncd.test").error("run_failed")
        with suppress(OSError):
            full.close()

    def test_a_stream_with_few_letters_still_gets_the_line(self):
        raw = io.BytesIO()
        logs.configure(stream=io.TextIOWrapper(raw, encoding="ascii"), json=False)
        logs.get_log("syncd.test").info("run_ended", found="Grüße")

        assert b"Gr\\xfc\\xdfe" in raw.getvalue()

    def test_lines_of_many_threads_stay_whole(self, stream):
        logs.configure(stream=stream)

        def say(number):
            with logs.bound(platform=f"p{number}"):
                for _ in range(50):
                    logs.get_log("syncd.test").info("delivery_started", number=number)

        threads = [threading.Thread(target=say, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = [json.loads(text) for text in stream.getvalue().splitlines()]
        assert 200 == len(found)
        assert all(each["platform"] == f"p{each['number']}" for each in found)


class TestLibraries:
    def test_a_librarys_warning_becomes_an_event_without_secrets(self, stream, line):
        logs.remember_secret(SECRET)
        logging.getLogger("acme").warning("retry with %s", SECRET)

        found = json.loads(stream.getvalue())
        assert ("library_logged", "warning", "acme") == (found["event"], found["level"], found["logger"])
        assert "retry with ***" == found["message"]

    def test_a_librarys_error_brings_its_exception(self, stream, line):
        logs.remember_secret(SECRET)
        try:
            fail(ValueError(SECRET))
        except ValueError:
            logging.getLogger("acme").exception("failed")

        found = json.loads(stream.getvalue())
        assert "error" == found["level"]
        assert "ValueError: ***" in found["exception"]

    def test_what_a_library_says_below_a_warning_is_not_shown(self, stream, line):
        """Debug lines of HTTP libraries hold whole requests."""
        logging.getLogger("acme").info("Authorization: Bearer abc")

        assert "" == stream.getvalue()

    def test_ldap3_is_silent(self, stream, line):
        logging.getLogger("ldap3").error("bind with %s", SECRET)

        assert "" == stream.getvalue()

    def test_a_mistake_in_a_librarys_call_breaks_nothing(self, stream, line, monkeypatch):
        ours = [each for each in logging.getLogger().handlers if type(each).__module__.startswith("syncd")]
        monkeypatch.setattr(logging.getLogger(), "handlers", ours)
        logging.getLogger("acme").warning(*("%s and %s", 1))

        assert "%s and %s" == json.loads(stream.getvalue())["message"]

    def test_configuring_twice_does_not_double_the_lines(self, stream, line):
        logs.configure(stream=stream)
        logging.getLogger("acme").warning("once")

        assert 1 == len(stream.getvalue().splitlines())

    def test_warnings_of_python_are_events(self, stream, line):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", UserWarning, stacklevel=1)

        assert "UserWarning: old" in json.loads(stream.getvalue())["message"]


def test_the_module_costs_no_import_of_structlog():
    """What only has a log, and says nothing, starts without it."""
    code = "import sys; from syncd.logs import get_log; get_log('x'); print(sorted({'structlog', 'rich', 'logging'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == found.stdout.strip()
