"""What a person sees at a terminal: tables that fit, a live line, questions, colours."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import cli_world
import pytest
from cli_world import PROGRAM, environment

office = cli_world.office

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _take_terminal():
    """Make the terminal the process's own, so that it sends it interrupts, and let them through.

    What runs in the background of a script is born with interrupts ignored, and so are its children.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A process at a terminal of its own, 80 columns wide."""

    def __init__(self, office, *words, width=80, **variables):
        self.main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        env = {
            name: text
            for name, text in environment(TERM="xterm-256color", **variables).items()
            if name != "COLUMNS"
        }
        self.process = subprocess.Popen(
            [*PROGRAM, "--config", str(office.config), *words],
            stdin=side, stdout=side, stderr=side, env=env, start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - tests have no other threads here
        )  # fmt: skip
        os.close(side)
        self.seen = ""

    def read(self, until=None, patience=30.0):
        """Read until ``until`` was seen, or the end."""
        deadline = time.monotonic() + patience
        while until is None or until not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if not select.select([self.main], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(self.main, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            self.seen += data.decode("utf-8", "replace")
        return self.seen

    def answer(self, text):
        """Type once the process waits for it: a key that comes before may be lost, and a person is not so quick."""
        self.read("[y/N]: ")
        time.sleep(0.3)
        self.type(text)

    def type(self, text):
        os.write(self.main, text.encode())

    def end(self):
        self.read()
        os.close(self.main)
        return self.process.wait(timeout=30)


def shown(office, *words, **options):
    terminal = Terminal(office, *words, **options)
    code = terminal.end()
    assert 0 == code, terminal.seen
    return terminal.seen


class TestTables:
    @pytest.mark.parametrize("words", [("runs",), ("accounts",), ("deliveries",), ("plugins",)], ids=str)
    def test_they_fit_the_width(self, office, words):
        office.begin()
        lines = ESCAPES.sub("", shown(office, *words)).splitlines()

        assert [] == [line for line in lines if len(line) > 80]

    def test_columns_are_titled_and_numbers_stay_whole(self, office):
        office.begin()
        text = ESCAPES.sub("", shown(office, "runs"))

        assert re.search(r"run +kind +connection +state +entries +plan +by +started", text)
        assert re.search(r"1 +sync +hr +ended +3 +\+3 ~0 -0 +kim +2026-01-05 09:00", text)

    def test_a_long_reason_is_broken_into_lines_and_nothing_of_it_is_lost(self, office):
        office.begin()
        office.change(n2=("grace", "Grace", "Hopper", "not an address"))
        office.out("sync", "hr")
        words = ESCAPES.sub("", shown(office, "queue")).split()

        assert {"e-mail", "address:", "needs", "exactly", "one", "@"} <= set(words)

    def test_nothing_of_a_value_is_taken_for_markup_or_a_command(self, office):
        office.begin()
        office.change(n1=("ada", "[bold red]Ada[/]", ":smile: \u202eX", "ada@acme.example"))
        office.out("sync", "hr")
        text = ESCAPES.sub("", shown(office, "accounts", width=160))

        assert "[bold red]Ada[/] :smile: \\u202eX" in text

    def test_json_has_no_colours_even_there(self, office):
        office.begin()

        assert "\x1b" not in shown(office, "runs", "--json")

    def test_without_a_terminal_there_are_no_colours_and_no_rich(self, office):
        """What writes a log imports rich all the same: structlog does."""
        office.begin()
        code = "import sys; from syncd.cli import root\ntry: root.main(sys.argv[1:])\nfinally: print('rich' in sys.modules)"
        for words in (["runs"], ["accounts"], ["explain", "ada"]):
            done = subprocess.run(
                [sys.executable, "-c", code, "--config", str(office.config), *words],
                capture_output=True, text=True, check=True, env=environment(),
            )  # fmt: skip
            assert "\x1b" not in done.stdout + done.stderr
            assert "False" == done.stdout.splitlines()[-1]

    def test_colours_can_be_refused(self, office):
        office.begin()

        assert "\x1b[3" not in shown(office, "runs", NO_COLOR="1")


class TestProgress:
    def test_a_live_line_counts_what_is_read_applied_and_delivered(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(4500)}
        office.write()
        office.set('operations = ["add", "update", "remove"]', 'detain = "never"')
        text = shown(office, "sync", "hr")

        assert "reading hr" in text
        assert "applying hr" in text
        assert "delivering" in text
        assert "hr: run 1 is done: 4500 entries, 0 unchanged, 4500 applied" in text

    def test_the_result_can_go_elsewhere_meanwhile(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(4500)}
        office.write()
        office.set('operations = ["add", "update", "remove"]', 'detain = "never"')
        terminal = Terminal(office, "preview", "hr", "--json")

        assert 0 == terminal.end()
        assert "reading" not in terminal.seen


class TestQuestions:
    @pytest.fixture
    def held(self, office):
        office.out("preview", "hr", code=3)
        return office

    def test_yes_does_it(self, held):
        terminal = Terminal(held, "apply", "1")
        terminal.answer("y\n")

        assert 0 == terminal.end()
        assert terminal.seen.startswith("first-run: the first plan of this connection waits for a person")
        assert "hr: run 1 is done" in terminal.seen

    @pytest.mark.parametrize(
        "answer", ["n\n", "\n", "\x03", "\x04"], ids=["no", "return", "interrupt", "end of input"]
    )
    def test_everything_else_does_nothing_and_ends_with_130(self, held, answer):
        terminal = Terminal(held, "apply", "1")
        terminal.answer(answer)

        assert 130 == terminal.end()
        assert "Traceback" not in terminal.seen
        assert "held" == held.json("runs", "1")["state"]
        assert [] == held.json("accounts")["accounts"]

    def test_an_interrupt_while_reading_leaves_nothing_behind_but_a_failed_run(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(60_000)}
        office.write()
        office.set("stable_for = 0\nmatch", "stable_for = 0\nmax_entries = 100000\nmatch")
        terminal = Terminal(office, "preview", "hr")
        terminal.read("reading hr")
        terminal.type("\x03")

        assert 130 == terminal.end()
        assert ["failed"] == [run["state"] for run in office.json("runs")["runs"]]
        assert [] == office.json("queue")["operations"]
