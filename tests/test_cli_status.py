"""The verbs ``status`` and ``health``, on a real database, with and without a daemon."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import cli_world
import pytest

from syncd.lock import Lock, owner_of

office = cli_world.office

SCHEDULED = ('stable_for = 0\nmatch = ["login"]\noperations = ["add"',
             'stable_for = 0\nschedule = { full = "every 1h" }\nmatch = ["login"]\noperations = ["add"')  # fmt: skip


def code_and_line(office):
    result = office.run("health")
    (line,) = result.stdout.splitlines()
    return result.exit_code, line


class TestStatus:
    def test_what_waits_is_told_with_the_command_that_comes_next(self, office):
        office.out("preview", "hr", code=3)
        text = office.out("status")

        assert text.startswith("no daemon is running\n")
        assert "  source hr: run 1 (sync) is held with 3 changes: first-run\n    syncd runs 1\n" in text

    def test_all_is_well(self, office):
        office.begin()
        office.later(hours=2)
        text = office.out("status")

        assert re.search(r"^hr +well +2h 0m ago +- +3 +0 +0 +0 +0$", text, re.MULTILINE)
        assert text.endswith("nothing waits for a person\n")

    def test_schedules_that_nobody_keeps_are_told(self, office):
        office.begin()
        office.set(*SCHEDULED)

        assert office.out("status").startswith("no daemon is running; nothing reads hr by itself\n")

    def test_when_a_source_is_read_next_is_told(self, office):
        office.begin()
        office.set(*SCHEDULED)
        office.later(minutes=10)
        (hr,) = [one for one in office.json("status")["sources"] if one["source"] == "hr"]

        assert re.search(
            r"^hr +well +10m ago +20\d\d-\d\d-\d\d \d\d:\d\d +3 ", office.out("status"), re.MULTILINE
        )
        assert ["full"] == [*hr["next"]]

    def test_a_source_that_is_not_configured_any_more_is_told(self, office):
        office.begin()
        office.without("directory")
        text = office.out("status")

        assert "nobody is removed until syncd retire directory" in text
        assert "nothing waits for a person" in text

    def test_a_daemon_and_a_verb_at_work_are_told(self, office):
        office.begin()
        with Lock(office.folder / "state", "daemon"):
            daemon = office.out("status")
        with Lock(office.folder / "state", "sync"):
            verb = office.out("status")

        assert daemon.startswith(f"the daemon is running (process {os.getpid()})\n")
        assert verb.startswith(f"no daemon is running; process {os.getpid()} is at work (syncd sync)\n")

    def test_the_document_has_what_the_text_has(self, office):
        office.out("preview", "hr", code=3)
        found = office.json("status")
        states = {one["source"]: one["state"] for one in found["sources"]}

        assert {"hr": "held", "directory": "never read"} == states
        assert (False, None) == (found["daemon"], found["owner"])
        assert ["plan_held"] == [one["kind"] for one in found["troubles"]]
        assert "warning" == found["troubles"][0]["severity"]
        assert [1] == [one["run"] for one in found["held_runs"]]

    def test_a_failed_read_is_shown_with_its_error_and_the_run(self, office):
        office.begin()
        (office.folder / "hr.csv").unlink()
        office.run("sync", "hr")
        text = office.out("status")

        assert re.search(r"^hr +failed ", text, re.MULTILINE)
        assert "hr.csv" in text
        assert re.search(r"^    syncd runs \d+$", text, re.MULTILINE)


class TestHealth:
    def test_all_is_well(self, office):
        office.begin()
        office.later(minutes=5)
        code, line = code_and_line(office)

        assert 0 == code
        assert line == (
            "SYNCD OK - 2 sources and 1 platform, nothing waits for a person | 'held'=0 'detained'=0 'failed'=0"
            " 'waiting'=0 'late'=0 'down'=0 'undelivered'=0 'source_directory_age'=300s 'source_hr_age'=300s"
            " 'platform_phonebook_age'=0s"
        )

    def test_what_waits_for_a_person_is_1(self, office):
        office.out("preview", "hr", code=3)
        code, line = code_and_line(office)

        assert 1 == code
        assert line.startswith(
            "SYNCD WARNING - source hr: run 1 (sync) is held with 3 changes: first-run | 'held'=1 "
        )

    def test_what_failed_or_is_late_is_2(self, office):
        office.begin()
        (office.folder / "hr.csv").unlink()
        office.run("sync", "hr")

        assert (2, "SYNCD CRITICAL - source hr: the last read failed") == (
            code_and_line(office)[0],
            code_and_line(office)[1].partition(" (")[0],
        )

    def test_schedules_without_a_daemon_are_2_and_with_one_they_are_not(self, office):
        office.begin()
        office.set(*SCHEDULED)
        alone = code_and_line(office)
        with Lock(office.folder / "state", "daemon"):
            kept = code_and_line(office)

        assert (2, "SYNCD CRITICAL - no daemon is running") == (alone[0], alone[1].partition(" |")[0])
        assert 0 == kept[0]

    def test_what_was_missed_before_the_daemon_began_is_not_late(self, office):
        office.begin()
        office.set(*SCHEDULED)
        office.now = cli_world.START.fromtimestamp(time.time(), cli_world.START.tzinfo)
        with Lock(office.folder / "state", "daemon"):
            fresh = code_and_line(office)[0]
            office.later(hours=3)
            late = code_and_line(office)

        assert (0, 2) == (fresh, late[0])
        assert "source hr: the full read is overdue" in late[1]

    @pytest.mark.parametrize(
        ("spoil", "word"),
        [
            (lambda office: office.config.write_text("nonsense = 1\n"), "nonsense"),
            (lambda office: office.database.write_bytes(b"x" * 5000), "syncd.db"),
            (lambda office: office.database.unlink(), "does not exist yet"),
            (lambda office: office.config.unlink(), "syncd.toml"),
        ],
        ids=["configuration", "database", "no database", "no configuration"],
    )
    def test_what_cannot_be_told_is_3_in_one_line(self, office, spoil, word):
        office.begin()
        spoil(office)
        code, line = code_and_line(office)

        assert 3 == code
        assert line.startswith("SYNCD UNKNOWN - ")
        assert word in line

    def test_no_bar_stands_before_the_numbers_but_the_one(self, office):
        office.set(f'type = "csv"\npath = "{office.folder}/phonebook.csv"', 'type = "a|b"')
        line = code_and_line(office)[1]

        assert "a/b" in line
        assert "|" not in line

    def test_the_document_is_the_same(self, office):
        office.out("preview", "hr", code=3)
        found = office.json("health", code=1)

        assert (1, "WARNING", 1) == (found["code"], found["status"], found["performance"]["held"])

    def test_the_exit_code_is_that_of_the_process(self, office):
        office.out("preview", "hr", code=3)

        assert [1, 1] == [office.process("health").returncode, office.process("health", "--json").returncode]


class TestWhoOwnsTheStateDirectory:
    def test_nobody(self, tmp_path):
        assert None is owner_of(tmp_path)
        assert None is owner_of(tmp_path / "nowhere")

    def test_this_process_while_it_does_and_nobody_afterwards(self, tmp_path):
        with Lock(tmp_path / "state", "daemon"):
            owner = owner_of(tmp_path / "state")
            assert (os.getpid(), "daemon") == (owner.pid, owner.verb)
            assert 60 > abs(time.time() - owner.since)

        assert None is owner_of(tmp_path / "state")

    def test_one_that_was_killed_owns_nothing(self, tmp_path):
        script = (
            "import sys, time; from pathlib import Path; from syncd.lock import Lock\n"
            "with Lock(Path(sys.argv[1]), 'daemon'):\n    print('here', flush=True); time.sleep(60)\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "state")], stdout=subprocess.PIPE
        )
        with child:
            child.stdout.readline()
            before = owner_of(tmp_path / "state")
            child.send_signal(signal.SIGKILL)
            child.wait()

        assert (child.pid, "daemon") == (before.pid, before.verb)
        assert "verb daemon" in (tmp_path / "state" / "lock").read_text()
        assert None is owner_of(tmp_path / "state")

    def test_one_of_another_boot_owns_nothing(self, tmp_path):
        (tmp_path / "lock").write_text(f"pid {os.getpid()}\nboot another\nverb daemon\n")

        assert None is owner_of(tmp_path)

    def test_looking_takes_no_lock(self, tmp_path):
        """A daemon that begins in this moment is not refused."""
        with Lock(tmp_path / "state", "sync"):
            pass
        assert None is owner_of(tmp_path / "state")
        with Lock(tmp_path / "state", "daemon"):
            assert json.dumps(owner_of(tmp_path / "state").verb) == '"daemon"'
