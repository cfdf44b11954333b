"""Verbs that the running service carries out: what a person sees is what they would see without it."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import control_world
import pytest
from cli_world import PROGRAM, environment
from click.testing import CliRunner
from test_cli import LEAVES
from test_cli_terminal import ESCAPES, Terminal

from syncd import cli
from syncd.cli.serving import control
from syncd.control.verbs import LEVELS
from syncd.daemon import generation
from syncd.lock import Lock
from syncd.pipeline import line

office = control_world.office
served = control_world.served

HERE = {
    "init", "check", "demo", "plugins list", "plugins new", "config show", "db backup", "db restore",
    "daemon", "reload", "completion", "secrets key",
}  # fmt: skip
"""Verbs that are always done where they are typed."""


def verbs(served):
    return [call.verb for call in served.door.calls]


def test_it_is_known_of_every_verb_who_carries_it_out():
    """A new verb belongs into LEVELS, if the service can carry it out, or into HERE."""
    known = {" ".join(path) for path in LEAVES}

    assert known == {*LEVELS, *HERE}
    assert set() == HERE & set(LEVELS)


class TestSameAsWithout:
    """Each command twice: without a service, and then over its socket."""

    COMMANDS = (
        ("runs",), ("runs", "1"), ("runs", "99"), ("queue",), ("queue", "show", "1"), ("queue", "show", "99"), ("accounts",),
        ("accounts", "show", "ada"), ("explain", "ada"), ("deliveries",), ("verify",), ("db", "verify"), ("runs", "--bogus"),
        ("queue", "release"), ("queue", "retry", "x"), ("apply",), ("sync", "nowhere"), ("retire", "hr"), ("db", "prune"), ("schedule",), ("status",),
    )  # fmt: skip

    VOLATILE = '"free_bytes"'
    """Of the disk, and not of syncd."""

    def run(self, office, *words):
        return CliRunner().invoke(cli.root, ["--config", str(office.config), *words], prog_name="syncd")

    @pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
    @pytest.mark.parametrize("document", [(), ("--json",)], ids=["text", "json"])
    def test_words_and_code_are_the_same(self, office, words, document):
        office.begin()
        found = [self.run(office, *words, *document)]
        with control_world.Door(office.folder / "state" / "control.sock", None).open() as door:
            house = control_world.House(office.config)
            door.carry_out = lambda call: control_world.execute(call, house)
            found.append(self.run(office, *words, *document))

        assert 1 == len(door.calls)
        here, there = (
            (
                [line for line in one.stdout.splitlines() if self.VOLATILE not in line],
                one.stderr,
                one.exit_code,
            )
            for one in found
        )
        assert here == there


class TestWork:
    def test_all_of_it_is_put_together_as_the_service_does(self, office):
        house = control_world.House(office.config)
        place = house.settings.socket
        place.parent.mkdir(mode=0o700)
        with control(house, place, {}, status=lambda: {"pid": 7}, reload=lambda: None):
            assert 3 == office.run("preview", "hr").exit_code
        assert not place.exists()

    def test_a_day_is_the_same_as_without_a_service(self, served):
        served.begin()
        served.change(n1=None)
        served.out("sync")

        assert ["preview", "apply", "sync", "sync"] == verbs(served)
        assert {"root" if os.geteuid() == 0 else served.door.calls[0].actor} == {
            run["actor"] for run in served.json("runs")["runs"]
        }

    def test_a_process_of_its_own_is_served(self, served):
        done = served.process("preview", "hr", "--json")

        assert (3, "") == (done.returncode, done.stderr)
        assert ["held"] == [run["state"] for run in json.loads(done.stdout)["runs"]]
        assert ["preview"] == verbs(served)

    def test_the_socket_can_be_named_by_a_variable(self, served):
        done = subprocess.run(
            [*PROGRAM, "preview", "hr"], capture_output=True, text=True, check=False,
            env=environment(SYNCD_SOCKET=str(served.door.place), SYNCD_CONFIG="/nowhere"),
        )  # fmt: skip

        assert (3, "") == (done.returncode, done.stderr)

    def test_the_socket_can_be_named_in_the_configuration(self, office):
        office.set("timezone", f'socket = "{office.folder}/my.sock"\ntimezone')
        with control_world.Door(office.folder / "my.sock", lambda _call: 9).open() as door:
            assert 9 == office.run("sync").exit_code

        assert ["sync"] == [call.verb for call in door.calls]

    def test_another_state_directory_has_another_socket(self, served, tmp_path):
        result = served.run("--state-directory", str(tmp_path / "other"), "runs")

        assert 74 == result.exit_code
        assert [] == verbs(served)

    def test_a_service_listens_where_its_verbs_look(self, office, tmp_path):
        other = tmp_path / "other"
        found = [generation.load((office.config,), place, {}).settings.socket for place in (None, other)]
        with control_world.Door(found[1], lambda _call: 9).open() as door:
            assert 9 == office.run("--state-directory", str(other), "sync").exit_code

        assert [office.folder / "state" / "control.sock", other / "control.sock"] == found
        assert ["sync"] == [call.verb for call in door.calls]

    def test_without_a_service_it_is_done_here(self, served, office):
        served.door.place.unlink()

        assert 3 == office.run("preview", "hr").exit_code
        assert [] == verbs(served)

    def test_what_a_killed_service_left_is_nobody(self, served):
        with control_world.socket.socket(control_world.socket.AF_UNIX) as left:
            served.door.place.unlink()
            left.bind(str(served.door.place))

        assert 3 == served.run("preview", "hr").exit_code
        assert [] == verbs(served)

    @pytest.mark.parametrize(
        "words",
        [("config",), ("plugins",), ("check",), ("sync", "--help"), ("schedule", "--simulate", "2027")],
        ids=" ".join,
    )
    def test_what_needs_no_database_is_done_here(self, served, words):
        assert 0 == served.run(*words).exit_code
        assert [] == verbs(served)

    def test_when_there_is_no_room_it_is_said(self, served):
        with ExitStack() as opened:
            for _ in range(16):
                connection = opened.enter_context(closing(served.door.connect()))
                control_world.asked(connection, {"method": "org.syncd.Status"})
            done = served.process("runs")

        assert (75, "syncd: the running syncd serves as many as it can; ask again later\n") == (
            done.returncode, done.stderr,
        )  # fmt: skip

    def test_beside_a_lock_that_is_anothers_the_holder_is_named(self, office):
        office.out("preview", "hr", code=3)
        with Lock(office.folder / "state", "daemon"):
            result = office.run("sync")

        assert 75 == result.exit_code
        assert f"process {os.getpid()} (syncd daemon)" in result.stderr

    def test_one_that_is_in_the_way_for_too_long_is_named(self, served):
        served.house.patience, served.house.holder = 0.1, "syncd sync of ada"
        with served.house.turn:
            result = served.run("sync")

        assert 75 == result.exit_code
        assert "in use by syncd sync of ada" in result.stderr

    def test_whoever_left_while_waiting_has_nothing_done(self, served):
        carry_out, over = served.door.carry_out, threading.Event()

        def carried_out(call):
            try:
                return carry_out(call)
            finally:
                over.set()

        served.door.carry_out = carried_out
        with served.house.turn:
            process = subprocess.Popen(
                [*PROGRAM, "-c", str(served.config), "preview", "hr"], env=environment()
            )
            until = time.monotonic() + 20
            while not served.door.calls:
                assert time.monotonic() < until
                time.sleep(0.01)
            process.kill()
            process.wait()

        assert over.wait(20)
        assert not served.database.exists() or [] == served.json("runs")["runs"]

    def test_two_at_once_each_get_their_own(self, served):
        served.begin()
        found = {}

        def ask(number):
            words = ("runs", "1") if number % 2 else ("accounts",)
            found[number] = served.process(*words, "--json")

        expected = [served.out(*words, "--json") for words in (("accounts",), ("runs", "1"))]
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {number: (expected[number % 2], "", 0) for number in range(8)} == {
            number: (one.stdout, one.stderr, one.returncode) for number, one in found.items()
        }

    def test_a_fault_is_told_to_the_person_and_to_the_log(self, served, monkeypatch):
        monkeypatch.setattr(line, "plan_run", lambda *_, **__: {}["nothing"])
        result = served.run("preview", "hr")

        assert 70 == result.exit_code
        assert "unexpected KeyError: 'nothing'" in result.stderr
        assert '"event": "verb_failed"' in result.stderr

    def test_a_reader_can_have_nothing_changed_even_by_a_verb_that_looks(self, served, monkeypatch):
        served.begin()
        monkeypatch.setattr("syncd.control.peers.Peer.changes", lambda _peer, _rights: False)
        monkeypatch.setattr("syncd.control.peers.Peer.looks", lambda _peer, _rights: True)

        assert 0 == served.run("verify").exit_code
        result = served.run("verify", "--repair")
        assert 77 == result.exit_code
        assert "may look, and not have syncd verify change anything" in result.stderr
        assert 77 == served.run("sync").exit_code

    def test_a_service_that_ends_under_a_verb_is_told(self, office):
        def carry_out(call):
            call.write("stdout", "begun\n")
            time.sleep(1)
            return 0

        (office.folder / "state").mkdir(mode=0o700)
        with control_world.Door(office.folder / "state" / "control.sock", carry_out).open(drain=0.1) as door:
            process = subprocess.Popen(
                [*PROGRAM, "-c", str(office.config), "sync"],
                env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert "begun\n" == process.stdout.readline()
            [connection] = door.server._threads.values()
            connection.shutdown(control_world.socket.SHUT_RDWR)
            _, errors = process.communicate(timeout=20)

        assert 69 == process.returncode
        assert "the running syncd has ended" in errors


class TestReload:
    def test_a_reload_is_done_or_its_problems_are_told(self, served):
        assert "the configuration was read anew\n" == served.run("reload").stderr
        served.door.refusal = "syncd.toml:3: match: unknown key"
        result = served.run("reload")

        assert (78, f"syncd: {served.door.refusal}\n") == (result.exit_code, result.stderr)

    def test_without_a_service_it_is_69(self, office):
        result = office.run("reload")

        assert 69 == result.exit_code
        assert "syncd is not running as a service" in result.stderr


class TestTypedMethods:
    def test_a_machine_goes_through_a_day(self, served):
        ask = served.door.ask
        [planned] = ask("org.syncd.Preview", sources=["hr"])
        run = planned["parameters"]["document"]["runs"][0]
        [refused] = ask("org.syncd.Apply", run=run["run"], plan="ffff")
        [applied] = ask("org.syncd.Apply", run=run["run"], plan=run["plan_hash"][:12], why="seen")
        *seen, synced = ask("org.syncd.Sync", more=True, full=True)
        [undone] = ask("org.syncd.Undo", run=run["run"], preview=True)

        assert 3 == planned["parameters"]["exit_code"]
        assert ("org.syncd.Failed", 64) == (refused["error"], refused["parameters"]["exit_code"])
        assert (0, "ended") == (
            applied["parameters"]["exit_code"], applied["parameters"]["document"]["runs"][0]["state"],
        )  # fmt: skip
        assert 0 == synced["parameters"]["exit_code"]
        assert {"read", "apply", "deliver"} >= {one["parameters"]["progress"]["stage"] for one in seen}
        assert "undo" == undone["parameters"]["document"]["runs"][0]["kind"]

    def test_operations_are_released_and_discarded(self, served):
        served.out("preview", "hr", code=3)
        served.out("apply", "1", "--yes")
        served.out("undo", "1", "--yes", code=3)
        first, *others = [one["operation"] for one in served.json("queue")["operations"]]
        ask = served.door.ask
        [gone] = ask("org.syncd.Discard", operations=[first], why="stays")
        [released] = ask("org.syncd.Release", all=True, connection="hr")
        [nothing] = ask("org.syncd.Release", all=True)
        [refused] = ask("org.syncd.Discard", operations=others)

        assert {"exit_code": 0, "document": {"discarded": 1}} == gone["parameters"]
        assert (0, 2) == (
            released["parameters"]["exit_code"],
            released["parameters"]["document"]["runs"][0]["counts"]["applied_operations"],
        )
        assert {"exit_code": 0} == nothing["parameters"]
        assert "org.syncd.Failed" == refused["error"]

    def test_a_machine_names_an_enterprise_instead_of_its_sources(self, served):
        [planned] = served.door.ask("org.syncd.Preview", enterprise="acme")
        [nobody] = served.door.ask("org.syncd.Preview", enterprise="emca")
        [both] = served.door.ask("org.syncd.Sync", enterprise="acme", sources=["hr"])

        assert ["hr", "directory"] == [run["connection"] for run in planned["parameters"]["document"]["runs"]]
        assert "there is no enterprise 'emca'" in nobody["parameters"]["message"]
        assert ("org.syncd.Failed", 64) == (both["error"], both["parameters"]["exit_code"])

    def test_a_source_that_fails_is_in_the_document(self, served):
        (served.folder / "hr.csv").unlink()
        [reply] = served.door.ask("org.syncd.Preview", sources=["hr"])

        assert 69 == reply["parameters"]["exit_code"]
        assert "there is no such file" in reply["parameters"]["document"]["runs"][0]["error"]


class TestQuestions:
    @pytest.fixture
    def held(self, served):
        served.out("preview", "hr", code=3)
        return served

    def test_nobody_waits_in_the_service_for_an_answer(self, held):
        terminal = Terminal(held, "apply", "1")
        terminal.read("[y/N]: ")
        free = held.house.turn.acquire(timeout=5)
        held.house.turn.release()
        terminal.answer("y\n")

        assert (True, 0) == (free, terminal.end())
        assert 1 == terminal.seen.count("first-run: the first plan of this connection waits for a person")
        assert "hr: run 1 is done" in terminal.seen

    @pytest.mark.parametrize(
        "answer", ["n\n", "\n", "\x03", "\x04"], ids=["no", "return", "interrupt", "end of input"]
    )
    def test_everything_but_yes_does_nothing_and_ends_with_130(self, held, answer):
        terminal = Terminal(held, "apply", "1")
        terminal.answer(answer)

        assert 130 == terminal.end()
        assert "Traceback" not in terminal.seen
        assert "held" == held.json("runs", "1")["state"]

    def test_a_person_may_think_for_longer_than_a_connection_may_be_idle(self, office):
        office.out("preview", "hr", code=3)
        house = control_world.House(office.config)
        door = control_world.Door(
            office.folder / "state" / "control.sock", lambda call: control_world.execute(call, house)
        )
        with door.open(idle=0.1):
            terminal = Terminal(office, "apply", "1")
            terminal.read("[y/N]: ")
            time.sleep(0.5)
            terminal.answer("y\n")

            assert 0 == terminal.end(), terminal.seen
        assert 2 == len(door.calls)

    def test_a_plan_that_changed_meanwhile_is_refused(self, held):
        terminal = Terminal(held, "apply", "1")
        terminal.read("[y/N]: ")
        held.change(n3=None)
        held.out("preview", "hr", code=3)
        terminal.answer("y\n")

        assert 64 == terminal.end()
        assert [] == held.json("accounts")["accounts"]

    def test_undo_does_the_very_run_that_was_shown(self, held):
        held.out("apply", "1", "--yes")
        held.change(n2=("grace", "Grace", "Brewster", "grace@acme.example"))
        held.out("sync", "hr")
        terminal = Terminal(held, "undo", "2", "--why", "a -- test")
        terminal.answer("y\n")

        assert 0 == terminal.end(), terminal.seen
        assert 1 == terminal.seen.count("Brewster -> Hopper")
        assert "Apply run 3?" in terminal.seen
        assert "run 3 (undo) is done: 1 applied" in terminal.seen
        assert [3, 2, 1] == [run["run"] for run in held.json("runs")["runs"]]

    def test_release_does_what_was_listed_and_not_what_came_later(self, held):
        held.out("apply", "1", "--yes")
        held.out("undo", "1", "--yes", code=3)
        terminal = Terminal(held, "queue", "release", "--all")
        terminal.answer("y\n")

        assert 0 == terminal.end(), terminal.seen
        assert 1 == terminal.seen.count("Ada Lovelace")
        assert [("queue", "release", "--all"), ("queue", "release", "4", "5", "6")] == [
            call.arguments for call in held.door.calls if call.verb == "queue release"
        ]

    def test_an_account_is_deleted_once_it_is_agreed_to(self, held):
        held.out("apply", "1", "--yes")
        terminal = Terminal(held, "accounts", "delete", "ada")
        terminal.answer("y\n")

        assert 0 == terminal.end()
        assert ["grace", "alan"] == [one["attributes"]["login"] for one in held.json("accounts")["accounts"]]

    def test_where_nobody_can_be_asked_it_is_said_what_to_add(self, held):
        done = held.process("apply", "1", stdin=subprocess.DEVNULL)

        assert 64 == done.returncode
        assert "first-run: the first plan of this connection waits for a person" in done.stderr
        assert "add --yes" in done.stderr


class TestStatus:
    def test_why_a_configuration_is_not_in_use_is_said_and_why_nothing_is_delivered(self, served):
        served.begin()
        served.house.refused = "two mistakes:\n/etc/syncd.toml:3: unknown key"
        served.house.trouble = "platform desk: no such file"
        document = served.json("status")

        assert "  /etc/syncd.toml:3: unknown key\n" in served.out("status")
        assert "not be used: platform desk: no such file\n" in served.out("status")
        assert served.house.refused == document["reload_refused"]
        assert served.house.trouble == document["deliveries_stopped"]


class TestTerminal:
    def shown(self, served, *words, **options):
        terminal = Terminal(served, *words, **options)
        code = terminal.end()
        assert 0 == code, terminal.seen
        return terminal.seen

    @pytest.mark.parametrize("words", [("runs",), ("accounts",), ("deliveries",)], ids=str)
    @pytest.mark.parametrize("width", [60, 80, 140])
    def test_tables_fit_the_width_of_the_person(self, served, words, width):
        served.begin()
        text = self.shown(served, *words, width=width)

        assert "\x1b" in text or words == ("deliveries",)
        assert [] == [one for one in ESCAPES.sub("", text).splitlines() if len(one) > width]

    def test_colours_can_be_refused(self, served):
        served.begin()
        text = self.shown(served, "runs", NO_COLOR="1")

        assert "\x1b[3" not in text

    def test_a_live_line_counts_what_is_read_applied_and_delivered(self, served):
        served.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(4500)}
        served.write()
        served.set('operations = ["add", "update", "remove"]', 'detain = "never"')
        served.house.settings = control_world.House(served.config).settings
        text = self.shown(served, "sync", "hr")

        assert "reading hr" in text
        assert "applying hr" in text
        assert "hr: run 1 is done: 4500 entries, 0 unchanged, 4500 applied" in text

    def test_what_cannot_be_shown_is_escaped(self, served):
        served.change(n1=("ada", "Ada", "Łovelace \U0001f600", "ada@acme.example"))
        served.begin()
        done = served.process("accounts", "list", env=environment(PYTHONIOENCODING="ascii:backslashreplace"))

        assert (0, "") == (done.returncode, done.stderr)

    def test_names_of_any_script_arrive(self, served):
        served.change(n1=("ada", "Ada", "Łovelace Ωmega 名", "ada@acme.example"))
        served.begin()
        done = served.process(
            "accounts", "show", "ada", env=environment(PYTHONIOENCODING="utf-8"), encoding="utf-8"
        )

        assert "Łovelace Ωmega 名" in done.stdout


class TestLeaving:
    def test_an_interrupt_leaves_and_the_run_goes_on_to_its_end(self, served):
        served.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(12_000)}
        served.write()
        served.set("stable_for = 0\nmatch", "stable_for = 0\nmax_entries = 100000\nmatch")
        served.house.settings = control_world.House(served.config).settings
        terminal = Terminal(served, "preview", "hr")
        terminal.read("reading hr")
        terminal.type("\x03")

        assert 130 == terminal.end()
        assert "what the running syncd has begun it finishes" in terminal.seen
        assert "Traceback" not in terminal.seen
        with served.house.turn:
            [run] = served.json("runs")["runs"]
        assert (12_000, "held") == (run["entries"], run["state"])

    def test_a_reader_of_the_output_that_goes_away_is_no_failure_to_talk_about(self, served):
        served.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(3000)}
        served.write()
        served.begin()
        command = [*PROGRAM, "--config", str(served.config), "accounts"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as process:
            process.stdout.close()

            assert b"" == process.stderr.read()
            assert 141 == process.wait()

    def test_an_output_that_cannot_be_written_is_74(self, served):
        served.begin()
        with Path("/dev/full").open("w") as full:
            done = served.process("runs", stdout=full, capture_output=False, stderr=subprocess.PIPE)

        assert 74 == done.returncode
        assert "No space left on device" in done.stderr

    def test_a_stopped_pager_does_not_hold_up_the_service(self, served):
        served.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(4900)}
        served.write()
        command = [*PROGRAM, "--config", str(served.config), "preview", "hr", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
            until = time.monotonic() + 40
            while not served.door.calls or not served.house.turn.acquire(timeout=0.05):
                assert time.monotonic() < until  # nobody reads the pipe all that time
            served.house.turn.release()
            document = json.loads(process.stdout.read())

        assert 4900 == len(document["runs"][0]["operations"])


class TestStart:
    IMPORTED = """
import sys
from syncd.cli import root
try:
    root.main(sys.argv[1:], prog_name="syncd")
except SystemExit as end:
    print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
    sys.exit(end.code)
"""

    def test_a_verb_that_the_service_carries_out_imports_nothing_heavy(self, served):
        served.begin()
        done = subprocess.run(
            [sys.executable, "-c", self.IMPORTED, "runs"], capture_output=True, text=True, check=False,
            env=environment(SYNCD_SOCKET=str(served.door.place)),
        )  # fmt: skip

        assert 0 == done.returncode, done.stderr
        heavy = {
            "ldap3",
            "pydantic",
            "rich",
            "sqlite3",
            "sqlite_utils",
            "structlog",
            "varlink",
            "syncd.config",
            "syncd.store",
        }
        assert set() == heavy & set(done.stderr.splitlines())

    def test_completion_never_asks_the_service(self, served):
        served.begin()
        before = len(served.door.calls)
        done = subprocess.run(
            [*PROGRAM], capture_output=True, text=True, check=True,
            env=environment(_SYNCD_COMPLETE="bash_complete", COMP_WORDS="syncd apply ", COMP_CWORD="2",
                            SYNCD_CONFIG=str(served.config)),
        )  # fmt: skip

        assert ["plain,3", "plain,2", "plain,1"] == done.stdout.split()
        assert before == len(served.door.calls)


def test_a_service_that_does_not_let_one_connect_says_so(served):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    for folder in (served.folder, *served.folder.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    code = "import os, sqlite3, sys, syncd.logs.redaction; from syncd.cli import main; os.setgroups([]); os.setgid(65534); os.setuid(65534); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "runs"],
        capture_output=True, text=True, check=False, env=environment(SYNCD_SOCKET=str(served.door.place)),
    )  # fmt: skip

    assert 77 == done.returncode, done.stderr
    assert "may not connect" in done.stderr
