"""Events as journald gets them: fields, ids, what explains them, and what happens where journald is not."""

import io
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from syncd import logs
from syncd.logs import journal, redaction

ROOT = Path(__file__).parent.parent
GENERATOR = runpy.run_path(str(ROOT / "packaging" / "catalog.py"))
needs_python_systemd = pytest.mark.skipif(
    not journal.is_available(), reason="systemd-python is not installed: pip install 'syncd[systemd]'"
)


@pytest.fixture
def stderr(tmp_path, monkeypatch):
    """A stream that journald reads, as far as the environment says."""
    monkeypatch.setattr(redaction, "SECRETS", redaction.Secrets())
    monkeypatch.setattr(logs, "_threshold", 0)
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        yield stream
    structlog.reset_defaults()


@pytest.fixture
def sent(stderr, monkeypatch, tmp_path):
    """What is handed to libsystemd, each event as a dictionary."""
    import systemd.journal

    entries = []
    monkeypatch.setattr(
        systemd.journal,
        "sendv",
        lambda *fields: entries.append(dict(field.decode().split("=", 1) for field in fields)),
    )
    monkeypatch.setattr(journal, "SOCKET", tmp_path)
    logs.configure(stream=stderr, level="debug")
    return entries


def read(stream):
    stream.seek(0)
    return stream.read()


def fields(level="info", **line):
    return dict(journal.entry(level, {"event": "run_planned", **line}))


@needs_python_systemd
class TestFields:
    def test_an_event_has_the_fields_that_people_ask_by(self, sent, stderr):
        with logs.bound(run=7, connection="hq", platform="pbx"):
            logs.get_log("syncd.test").info("run_planned", operation=3, account=12, add=["a b"], gone=None)

        assert [
            {
                "MESSAGE": 'run_planned run=7 connection=hq platform=pbx operation=3 account=12 add="[\\"a b\\"]"',
                "PRIORITY": "6",
                "SYSLOG_IDENTIFIER": "syncd",
                "MESSAGE_ID": "da2691f2de5e56bd94856b5a7ce8b6dc",
                "SYNCD_EVENT": "run_planned",
                "SYNCD_RUN": "7",
                "SYNCD_CONNECTION": "hq",
                "SYNCD_PLATFORM": "pbx",
                "SYNCD_OPERATION": "3",
                "SYNCD_ACCOUNT": "12",
                "SYNCD_ADD": '["a b"]',
                "SYNCD_LOGGER": "syncd.test",
            }
        ] == sent
        assert "" == read(stderr)

    def test_every_level_has_its_priority(self, sent):
        for level in logs.LEVELS:
            getattr(logs.get_log("syncd.test"), level)("run_ended")

        assert ["7", "6", "4", "3"] == [entry["PRIORITY"] for entry in sent]

    def test_an_exception_is_whole_in_its_field_and_a_line_in_the_message(self, sent):
        try:
            int("no number")
        except ValueError:
            logs.get_log("syncd.test").exception("run_failed", run=7)

        assert "Traceback" in sent[0]["SYNCD_EXCEPTION"]
        assert sent[0]["MESSAGE"].startswith('run_failed run=7 exception="ValueError: invalid literal')

    def test_no_field_has_a_secret(self, sent):
        logs.remember_secret("Tr0ub/4=dor")
        logs.get_log("syncd.test").error("run_failed", error="no Tr0ub/4=dor", password="abcdef")

        assert "no ***" == sent[0]["SYNCD_ERROR"]
        assert "***" == sent[0]["SYNCD_PASSWORD"]
        assert not [value for value in sent[0].values() if "Tr0ub" in value or "abcdef" in value]


class TestEntry:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("plain", "why=plain"),
            ("two words", 'why="two words"'),
            ("a=b", 'why="a=b"'),
            ("Grüße", "why=Grüße"),
            ("", 'why=""'),
            ("a\nb", 'why="a\\nb"'),
            ("\x1b[2J\x7f\u202e", 'why="\\u001b[2J\\u007f\\u202e"'),
            (True, "why=true"),
            ({"x": [1]}, 'why="{\\"x\\": [1]}"'),
        ],
    )
    def test_the_message_shows_a_value_as_one_word(self, value, shown):
        assert f"run_planned {shown}" == fields(why=value)["MESSAGE"]

    @given(st.dictionaries(st.text(min_size=1), st.none() | st.integers() | st.text() | st.lists(st.text())))
    def test_whatever_is_said_makes_fields_that_journald_takes(self, line):
        entry = list(journal.entry("info", {"event": "run_planned", **line}))

        assert all(re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name) for name, _ in entry)
        assert entry[0][1].isprintable()
        assert all(journal._assignment(name, value).decode() for name, value in entry)


class TestWhereJournaldIsNot:
    """Not one event is lost: what journald does not take is a line of the standard error stream."""

    def lines(self, stderr):
        return [json.loads(re.sub("^<[0-7]>", "", line)) for line in read(stderr).splitlines()]

    @needs_python_systemd
    def test_without_its_socket(self, sent, stderr, monkeypatch, tmp_path):
        monkeypatch.setattr(journal, "SOCKET", tmp_path / "none")
        logs.get_log("syncd.test").warning("run_failed", run=7)

        assert ("run_failed", 7) == (self.lines(stderr)[0]["event"], self.lines(stderr)[0]["run"])
        assert [] == sent

    @needs_python_systemd
    def test_when_it_goes_while_an_event_is_sent(self, sent, stderr, monkeypatch, tmp_path):
        """libsystemd says nothing then; rather twice than never."""
        import systemd.journal

        (tmp_path / "socket").touch()
        monkeypatch.setattr(journal, "SOCKET", tmp_path / "socket")
        monkeypatch.setattr(systemd.journal, "sendv", lambda *_: (tmp_path / "socket").unlink())
        logs.get_log("syncd.test").warning("run_failed")

        assert ["run_failed"] == [line["event"] for line in self.lines(stderr)]

    @needs_python_systemd
    @pytest.mark.parametrize("error", [ConnectionRefusedError(111, "refused"), ValueError("no such field")])
    def test_when_it_refuses(self, sent, stderr, monkeypatch, error):
        import systemd.journal

        def refuse(*_):
            raise error

        monkeypatch.setattr(systemd.journal, "sendv", refuse)
        logs.get_log("syncd.test").warning("run_failed")

        assert "<4>" == read(stderr)[:3]
        assert ["run_failed"] == [line["event"] for line in self.lines(stderr)]

    def test_without_systemd_python(self, stderr, monkeypatch):
        monkeypatch.setitem(sys.modules, "systemd.journal", None)
        logs.configure(stream=stderr)
        logs.get_log("syncd.test").warning("run_failed")

        assert ["run_failed"] == [line["event"] for line in self.lines(stderr)]

    def test_another_stream_than_the_one_that_it_reads_gets_json(self, stderr):
        stream = io.StringIO()
        logs.configure(stream=stream)
        logs.get_log("syncd.test").warning("run_failed")

        assert "run_failed" == json.loads(stream.getvalue())["event"]

    def test_json_can_be_asked_for_all_the_same(self, stderr):
        logs.configure(stream=stderr, json=True)
        logs.get_log("syncd.test").warning("run_failed")

        assert ["run_failed"] == [line["event"] for line in self.lines(stderr)]


SPEAKS = """
import os, sys
from syncd import logs
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
logs.configure()
log = logs.get_log("syncd.test")
log.info("run_started", run=1)
log.info("run_planned", run=1, names=["x" * 7000] * 3000)
os.unlink("/run/systemd/journal/socket")
log.info("run_ended", run=1)
"""


@needs_python_systemd
@pytest.mark.skipif(
    subprocess.run(
        ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/run"],
        check=False,
        capture_output=True,
    ).returncode
    != 0,
    reason="a mount namespace of its own cannot be had here",
)
class TestWithLibsystemd:
    def test_small_and_large_events_arrive_and_the_rest_is_told_to_stderr(self, tmp_path):
        """A socket at journald's own place: two events come through it, one as a file; then it is gone."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(tmp_path / "socket"))
            listening.settimeout(5)
            place = "mount -t tmpfs none /run && mkdir -p /run/systemd && ln -s $1 /run/systemd/journal"
            script = f'{place} && exec "$2" -c "$3"'
            inside = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script, "sh"]
            found = subprocess.run(
                [*inside, str(tmp_path), sys.executable, SPEAKS],
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            )
            small, files = listening.recvmsg(300_000, socket.CMSG_SPACE(4))[:2]
            _, ancillary, _, _ = listening.recvmsg(300_000, socket.CMSG_SPACE(4))

        assert b"SYNCD_EVENT=run_started\n" in small
        assert [] == files
        with os.fdopen(int.from_bytes(ancillary[0][2], sys.byteorder), "rb") as large:
            large.seek(0)
            text = large.read()
            assert 20_000_000 < len(text)
            assert b'\nSYNCD_NAMES=["xxx' in text
        assert "run_ended" == json.loads(found.stderr.removeprefix("<6>"))["event"]


class TestCatalog:
    """docs/events.md, the code and the catalog say the same; ``python3 packaging/catalog.py`` makes it so."""

    def test_the_page_of_events_lists_the_ids_that_the_code_sends(self):
        listed = (ROOT / "docs" / "events.md").read_text("utf-8").partition("## Message ids\n")[2]
        ids = dict(re.findall(r"^    (\w+) +([0-9a-f]{32})$", listed, re.MULTILINE))

        assert {event: journal.message_id(event) for event in GENERATOR["events"]()} == ids, (
            "python3 packaging/catalog.py"
        )
        assert str(journal.EVENTS) in listed

    def test_an_id_never_changes(self):
        assert "da2691f2de5e56bd94856b5a7ce8b6dc" == journal.message_id("run_planned")

    def test_the_catalog_explains_every_event(self):
        catalog = (ROOT / "systemd" / "syncd.catalog").read_text("utf-8")

        assert GENERATOR["catalog"]() == catalog, "run python3 packaging/catalog.py"
        assert sorted(GENERATOR["events"]()) == re.findall(r"^Subject: (\w+)$", catalog, re.MULTILINE)

    def test_the_page_is_as_the_generator_writes_it(self):
        assert GENERATOR["page"]() == (ROOT / "docs" / "events.md").read_text("utf-8"), (
            "run python3 packaging/catalog.py"
        )

    @pytest.mark.skipif(not shutil.which("journalctl"), reason="journalctl is not installed")
    def test_journalctl_takes_the_catalog(self, tmp_path):
        (tmp_path / "usr/lib/systemd/catalog").mkdir(parents=True)
        (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(ROOT / "systemd" / "syncd.catalog", tmp_path / "usr/lib/systemd/catalog")
        journalctl = ["journalctl", f"--root={tmp_path}"]
        made = subprocess.run([*journalctl, "--update-catalog"], check=True, capture_output=True, text=True)
        listed = subprocess.run([*journalctl, "--list-catalog"], check=True, capture_output=True, text=True)

        assert "" == made.stderr
        expected = {f"{journal.message_id(event)} syncd: {event}" for event in GENERATOR["events"]()}
        assert expected == set(listed.stdout.splitlines())
