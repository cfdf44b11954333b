"""The control socket by itself: Varlink, bounds, peers; what verbs do stands in test_control_verbs."""

import grp
import itertools
import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import control_world
import pytest
import varlink
from control_world import Door, asked, replies, send
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import syncd.control
from syncd.cli import root
from syncd.control.frames import LARGEST, Frames, encoded
from syncd.control.listening import open_socket
from syncd.control.peers import Peer, Rights, peer_of
from syncd.control.verbs import LEVELS, verb_of
from syncd.errors import Busy, ConfigError

door = control_world.door
INTERFACE = (Path(syncd.control.__file__).parent / "org.syncd.varlink").read_text("utf-8")
COMMAND = {"method": "org.syncd.Command", "more": True, "parameters": {"arguments": ["sync"]}}


def error_of(found):
    [reply] = found
    return reply["error"].rpartition(".")[2], reply["parameters"]


class TestIntrospection:
    """Through the PyPI client, which reads the interface before it can call anything."""

    def test_a_client_finds_the_interface_and_its_methods(self, door):
        with varlink.Client(f"unix:{door.place}") as client, client.open("org.varlink.service") as service:
            assert {"org.varlink.service", "org.syncd"} == set(service.GetInfo()["interfaces"])
            assert INTERFACE == service.GetInterfaceDescription("org.syncd")["description"]

    def test_a_client_calls_a_method_that_it_has_found(self, door):
        with varlink.Client(f"unix:{door.place}") as client, client.open("org.syncd") as syncd:
            assert {"status": {"state": "idle"}} == syncd.Status()
            assert {} == syncd.Reload()
        assert 1 == door.reloads

    @pytest.mark.skipif(shutil.which("varlinkctl") is None, reason="varlinkctl comes with systemd 255")
    def test_the_client_of_systemd_finds_the_interface_and_calls_it(self, door):
        def told(*words):
            return subprocess.check_output(["varlinkctl", *words], text=True, timeout=60)

        place = f"unix:{door.place}"
        assert "org.syncd\norg.varlink.service\n" == told("list-interfaces", place)
        assert "method Sync(" in told("introspect", place, "org.syncd")
        found = json.loads(told("--json=short", "call", place, "org.syncd.Status", "{}"))
        assert {"status": {"state": "idle"}} == found

    def test_a_client_follows_a_verb(self, door):
        def carry_out(call):
            call.write("stdout", "1\n")
            call.progress("hr", "read", 7, None)
            call.write("stderr", "2\n")
            return 3

        door.carry_out = carry_out
        with varlink.Client(f"unix:{door.place}") as client, client.open("org.syncd") as syncd:
            found = list(syncd.Command(["sync"], {"messages": True}, _more=True))

        assert [
            {"output": {"stream": "stdout", "text": "1\n"}},
            {"progress": {"about": "hr", "stage": "read", "count": 7}},
            {"output": {"stream": "stderr", "text": "2\n"}},
            {"exit_code": 3},
        ] == found

    def test_the_varlink_program_can_be_used(self, door):
        command = [sys.executable, "-m", "varlink.cli", "call", f"unix:{door.place}/org.syncd.Status", "{}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)

        assert {"status": {"state": "idle"}} == json.loads(done.stdout)

    def test_a_reload_that_is_refused_says_why(self, door):
        door.refusal = "syncd.toml:3: match: unknown key"

        assert ("Failed", {"message": door.refusal, "exit_code": 78}) == error_of(
            door.ask("org.syncd.Reload")
        )

    def test_the_interface_is_shipped_with_the_package(self):
        assert INTERFACE.startswith("# What the running syncd can be asked.")


class TestCalls:
    @pytest.mark.parametrize(
        ("message", "error", "about"),
        [
            ({}, "InvalidParameter", {"parameter": "method"}),
            ({"method": 7}, "InvalidParameter", {"parameter": "method"}),
            ({"method": "org.syncd.Status", "parameters": []}, "InvalidParameter", {"parameter": "parameters"}),
            ({"method": "Status"}, "InterfaceNotFound", {"interface": ""}),
            ({"method": "org.acme.Status"}, "InterfaceNotFound", {"interface": "org.acme"}),
            ({"method": "org.syncd.Explode"}, "MethodNotFound", {"method": "org.syncd.Explode"}),
            ({"method": "org.syncd.Terminal"}, "MethodNotFound", {"method": "org.syncd.Terminal"}),
            ({"method": "org.syncd.Status", "upgrade": True}, "InvalidParameter", {"parameter": "upgrade"}),
            ({"method": "org.syncd.Status", "parameters": {"x": 1}}, "InvalidParameter", {"parameter": "x"}),
            ({"method": "org.syncd.Command", "parameters": {"arguments": ["sync"]}}, "ExpectedMore", {}),
            ({**COMMAND, "parameters": {}}, "InvalidParameter", {"parameter": "arguments"}),
            ({**COMMAND, "parameters": {"arguments": "sync"}}, "InvalidParameter", {"parameter": "arguments"}),
            ({**COMMAND, "parameters": {"arguments": ["sync", 1]}}, "InvalidParameter", {"parameter": "arguments"}),
            ({**COMMAND, "parameters": {"arguments": ["sync"], "terminal": {"columns": "8"}}},
             "InvalidParameter", {"parameter": "terminal"}),
            ({"method": "org.syncd.Apply", "parameters": {"run": "1"}}, "InvalidParameter", {"parameter": "run"}),
            ({"method": "org.syncd.Apply", "parameters": {"run": True}}, "InvalidParameter", {"parameter": "run"}),
            ({"method": "org.syncd.Apply", "parameters": {"run": -1}}, "InvalidParameter", {"parameter": "run"}),
            ({"method": "org.syncd.Sync", "parameters": {"full": 1}}, "InvalidParameter", {"parameter": "full"}),
            ({"method": "org.syncd.Discard", "parameters": {}}, "InvalidParameter", {"parameter": "operations"}),
            ({"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": "a.b"}},
             "InterfaceNotFound", {"interface": "a.b"}),
        ],
    )  # fmt: skip
    def test_what_is_wrong_with_a_call_is_said_in_varlinks_own_words(self, door, message, error, about):
        with closing(door.connect()) as connection:
            assert (error, about) == error_of(asked(connection, message))
            assert [{"parameters": {"status": {"state": "idle"}}}] == asked(
                connection, {"method": "org.syncd.Status"}
            )
        assert [] == door.calls

    @pytest.mark.parametrize(
        "arguments",
        [
            [], ["--config", "/tmp/x.toml", "sync"], ["-c", "x", "sync"], ["demo"], ["init"], ["daemon"], ["db", "restore", "x"],
            ["db", "backup", "/etc/passwd"], ["config"], ["plugins", "new", "x"], ["nothing"], ["queue", "nothing"],
        ],
        ids=str,
    )  # fmt: skip
    def test_what_the_service_does_not_carry_out_is_refused(self, door, arguments):
        name, about = error_of(door.ask("org.syncd.Command", more=True, arguments=arguments))

        assert ("Failed", 64) == (name, about["exit_code"])
        assert [] == door.calls

    @pytest.mark.parametrize(
        ("method", "parameters", "words"),
        [
            ("Sync", {}, "sync --json --"),
            ("Sync", {"sources": ["hr", "--x"], "full": True}, "sync --full --json -- hr --x"),
            ("Sync", {"enterprise": "acme"}, "sync --enterprise=acme --json --"),
            ("Preview", {"enterprise": "--x", "full": True}, "preview --enterprise=--x --full --json --"),
            ("Preview", {"sources": ["hr"]}, "preview --json -- hr"),
            ("Apply", {"run": 4, "plan": "0a", "why": "-x y"}, "apply --plan=0a --json --why=-x y -- 4"),
            ("Undo", {"run": 4, "preview": True}, "undo --preview --json -- 4"),
            ("Release", {"operations": [3, 4]}, "queue release --json -- 3 4"),
            ("Release", {"all": True, "connection": "hr"}, "queue release --all --connection=hr --json --"),
            ("Discard", {"operations": [3], "why": "no"}, "queue discard --json --why=no -- 3"),
        ],
    )
    def test_methods_for_machines_are_verbs(self, door, method, parameters, words):
        def carry_out(call):
            call.progress("hr", "read", 1, None)
            call.write("stderr", "said\n")
            call.write("stdout", '{"done": ')
            call.write("stdout", "true}\n")
            return 3

        door.carry_out = carry_out
        found = door.ask(f"org.syncd.{method}", **parameters)

        assert [{"parameters": {"exit_code": 3, "document": {"done": True}}}] == found
        assert (words, True, True) == (
            " ".join(door.calls[0].arguments), door.calls[0].agreed, door.calls[0].document,
        )  # fmt: skip

    def test_a_machine_that_asks_for_more_is_told_the_progress(self, door):
        def carry_out(call):
            call.progress("hr", "apply", 1, 9)
            call.write("stdout", "{}")
            return 0

        door.carry_out = carry_out

        assert [
            {"parameters": {"progress": {"about": "hr", "stage": "apply", "count": 1, "total": 9}}, "continues": True},
            {"parameters": {"exit_code": 0, "document": {}}},
        ] == door.ask("org.syncd.Sync", more=True)  # fmt: skip
        assert (True,) == (door.calls[0].watched,)

    @pytest.mark.parametrize(
        ("code", "error"), [(75, "Busy"), (64, "Failed"), (77, "Failed"), (70, "Failed")]
    )
    def test_a_verb_that_fails_without_a_document_is_an_error_with_its_words(self, door, code, error):
        def carry_out(call):
            call.write("stderr", "syncd: no.\n")
            return code

        door.carry_out = carry_out

        assert (error, {"message": "syncd: no.", "exit_code": code}) == error_of(door.ask("org.syncd.Sync"))

    def test_a_document_that_no_client_would_take_is_refused(self, door):
        def carry_out(call):
            for _ in range(17):
                call.write("stdout", " " * 1024 * 1024)
            return 0

        door.carry_out = carry_out
        name, about = error_of(door.ask("org.syncd.Preview"))

        assert ("Failed", 65) == (name, about["exit_code"])
        assert "use 'syncd preview --json" in about["message"]

    @pytest.mark.parametrize("fault", [ZeroDivisionError, SystemExit])
    def test_a_fault_of_a_verb_is_told_and_the_service_goes_on(self, door, fault):
        def carry_out(call):
            raise fault

        door.carry_out = carry_out
        with closing(door.connect()) as connection:
            name, about = error_of(asked(connection, COMMAND))
            again = asked(connection, {"method": "org.syncd.Status"})

        assert ("Failed", 70) == (name, about["exit_code"])
        assert f"unexpected {fault.__name__}" in about["message"]
        assert [{"parameters": {"status": {"state": "idle"}}}] == again

    def test_a_call_that_wants_no_reply_gets_none(self, door):
        with closing(door.connect()) as connection:
            send(connection, {"method": "org.syncd.Reload", "oneway": True})
            found = asked(connection, {"method": "org.syncd.Status"})

        assert ([{"parameters": {"status": {"state": "idle"}}}], 1) == (found, door.reloads)

    def test_a_verb_that_wants_no_reply_is_carried_out_in_silence(self, door):
        def carry_out(call):
            call.progress("hr", "read", 1, None)
            call.write("stdout", "{}")
            return 0

        door.carry_out = carry_out
        with closing(door.connect()) as connection:
            send(connection, {"method": "org.syncd.Sync", "oneway": True, "more": True})
            send(connection, {**COMMAND, "oneway": True})
            found = asked(connection, {"method": "org.syncd.Status"})

        assert [{"parameters": {"status": {"state": "idle"}}}] == found
        assert ["sync"] == [call.verb for call in door.calls]

    def test_calls_of_one_connection_are_answered_one_after_the_other(self, door):
        with closing(door.connect()) as connection:
            for _ in range(50):
                send(connection, {"method": "org.syncd.Status"})
            found = replies(connection)

            assert [{"status": {"state": "idle"}}] * 50 == [next(found)["parameters"] for _ in range(50)]

    def test_a_long_text_comes_in_pieces_and_whole(self, door):
        text = "Grüße \U0001f600 \ud800" * 40_000

        def carry_out(call):
            call.write("stdout", text)
            return 0

        door.carry_out = carry_out
        found = door.ask("org.syncd.Command", more=True, arguments=["sync"])

        assert text == "".join(one["parameters"]["output"]["text"] for one in found[:-1])
        assert [] == [one for one in found if len(json.dumps(one)) > LARGEST]

    def test_two_calls_at_once_do_not_mix(self, door):
        both = threading.Barrier(2)

        def carry_out(call):
            both.wait(timeout=10)
            for _ in range(500):
                call.write("stdout", call.arguments[-1])
            return int(call.arguments[-1])

        door.carry_out = carry_out
        found = {}

        def ask(word):
            *texts, last = door.ask("org.syncd.Command", more=True, arguments=["sync", word])
            found[word] = ("".join(one["parameters"]["output"]["text"] for one in texts), last["parameters"])

        threads = [threading.Thread(target=ask, args=(word,)) for word in ("1", "2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {word: (word * 500, {"exit_code": int(word)}) for word in ("1", "2")} == found


class TestVerbs:
    def test_a_verb_is_found_as_the_command_line_finds_it(self):
        found = [
            verb_of(words.split())
            for words in ("queue", "queue --json", "queue list", "queue -- release", "queue release 1", "runs 7", "sync",
                          "queue bogus", "db", "db verify", "accounts", "config show", "")
        ]  # fmt: skip

        assert [
            "queue list", "queue list", "queue list", "queue list", "queue release", "runs", "sync",
            None, None, "db verify", "accounts list", None, None,
        ] == found  # fmt: skip

    def test_every_verb_of_the_table_is_one(self):
        wrong = []
        for verb in LEVELS:
            command = root
            for word in verb.split():
                command = command.get_command(None, word)
            if command is None or hasattr(command, "lazy"):
                wrong.append(verb)

        assert [] == wrong


class TestBounds:
    def bounded(self, tmp_path, carry_out=lambda _call: 0, **bounds):
        return Door(tmp_path / "control.sock", carry_out).open(**bounds)

    def test_the_seventeenth_is_told_that_there_is_no_room(self, door):
        with ExitStack() as opened:
            first = [opened.enter_context(closing(door.connect())) for _ in range(16)]
            for one in first:
                asked(one, {"method": "org.syncd.Status"})
            name, about = error_of(list(replies(opened.enter_context(closing(door.connect())))))
            still = asked(first[-1], {"method": "org.syncd.Status"})

        assert ("Busy", 75) == (name, about["exit_code"])
        assert [{"parameters": {"status": {"state": "idle"}}}] == still

    def test_whatever_many_do_at_once_there_is_room_again_afterwards(self, tmp_path):
        def carry_out(call):
            for number in range(200):
                call.write("stdout", f"{number}\n" * 50)
                call.progress("hr", "read", number, None)
            return 0

        def misbehave(seed):
            chance = random.Random(seed)
            for _ in range(8):
                with suppress(OSError), closing(door.connect()) as connection:
                    for _ in range(chance.randrange(3)):
                        send(connection, chance.choice([COMMAND, {"method": "org.syncd.Status"}, [], 7]))
                        if chance.random() < 0.5:
                            connection.recv(chance.choice([1, 1000, 100_000]))
                    connection.sendall(chance.choice([b"", b"{", b"\0", b"x" * 10_000]))
                    connection.shutdown(chance.choice([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR]))

        with self.bounded(tmp_path, carry_out, grace=0.2, whole=0.2, idle=0.2) as door:
            threads = [threading.Thread(target=misbehave, args=(seed,)) for seed in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            until = time.monotonic() + 20
            while door.server._threads:
                assert time.monotonic() < until
                time.sleep(0.01)

            assert [{"parameters": {"status": {"state": "idle"}}}] == door.ask("org.syncd.Status")

    def test_without_threads_to_spare_it_is_said_and_not_the_end(self, door, monkeypatch):
        def fail(_thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            found = error_of(door.ask("org.syncd.Status"))

        assert ("Busy", 75) == (found[0], found[1]["exit_code"])
        assert [{"parameters": {"status": {"state": "idle"}}}] == door.ask("org.syncd.Status")

    def test_there_is_room_again_when_one_goes(self, tmp_path):
        with self.bounded(tmp_path, peers=1) as door:
            for _ in range(5):
                until = time.monotonic() + 10
                while "error" in (found := door.ask("org.syncd.Status"))[0]:
                    assert time.monotonic() < until
                assert [{"parameters": {"status": {"state": "idle"}}}] == found

    @pytest.mark.parametrize(
        "data", [b"x", b"{", b'{"method": "org.syncd.Status"}', b"\xff" * 1000], ids=repr
    )
    def test_a_call_that_is_not_completed_in_time_is_the_end(self, tmp_path, data):
        with self.bounded(tmp_path, whole=0.2) as door, closing(door.connect()) as connection:
            connection.sendall(data)

            assert b"" == connection.recv(100)

    def test_drop_by_drop_is_no_way_round_that(self, tmp_path):
        with self.bounded(tmp_path, whole=0.5) as door, closing(door.connect()) as connection:
            began = time.monotonic()
            with suppress(OSError):
                while time.monotonic() - began < 10:
                    connection.sendall(b" ")
                    time.sleep(0.05)

            assert time.monotonic() - began < 5

    def test_who_says_nothing_is_let_go(self, tmp_path):
        with self.bounded(tmp_path, idle=0.2) as door, closing(door.connect()) as connection:
            assert b"" == connection.recv(100)

    def test_a_call_that_is_too_long_is_the_end_before_it_is_whole(self, door):
        with closing(door.connect()) as connection, pytest.raises(OSError):
            connection.sendall(b"x" * 100 * LARGEST)
        assert [{"parameters": {"status": {"state": "idle"}}}] == door.ask("org.syncd.Status")

    def test_a_call_of_the_greatest_length_is_answered(self, door):
        start, end = b'{"method": "org.syncd.Status", "more": "', b'"}'
        with closing(door.connect()) as connection:
            connection.sendall(start + b"x" * (LARGEST - len(start) - len(end)) + end + b"\0")

            assert {"parameters": {"status": {"state": "idle"}}} == next(replies(connection))

    @pytest.mark.parametrize("data", [b"\0", b"no json\0", b"[]\0", b"[" * 100_000 + b"\0", b'"\\ud800"\0'])
    def test_what_is_no_call_is_the_end(self, door, data):
        with closing(door.connect()) as connection:
            connection.sendall(data)

            assert b"" == connection.recv(100)
        assert [{"parameters": {"status": {"state": "idle"}}}] == door.ask("org.syncd.Status")

    def test_one_who_never_reads_is_cut_and_the_verb_goes_on_to_its_end(self, tmp_path):
        ended = threading.Event()
        wanted = []

        def carry_out(call):
            for _ in range(5000):
                call.write("stdout", "x" * 1000)
            wanted.append(call.wanted)
            ended.set()
            return 0

        with self.bounded(tmp_path, carry_out, grace=0.3, rate=10**9) as door:
            with closing(door.connect()) as connection:
                began = time.monotonic()
                send(connection, COMMAND)

                assert ended.wait(10)
                assert [False] == wanted
                assert time.monotonic() - began < 5
            door.carry_out = lambda _call: 0
            assert [{"parameters": {"exit_code": 0}}] == door.ask(
                "org.syncd.Command", more=True, arguments=["sync"]
            )

    def test_one_who_reads_too_slowly_is_cut_as_well(self, tmp_path):
        ended = threading.Event()

        def carry_out(call):
            while call.wanted:
                call.write("stdout", "x" * 10_000)
            ended.set()
            return 0

        with self.bounded(tmp_path, carry_out, grace=0.3) as door, closing(door.connect()) as connection:
            send(connection, COMMAND)
            until = time.monotonic() + 20
            while not ended.wait(0.02) and time.monotonic() < until:
                connection.recv(1000)

            assert ended.is_set()

    def test_progress_never_waits_for_anybody(self, tmp_path):
        ended = threading.Event()

        def carry_out(call):
            for number in range(100_000):
                call.progress(f"source {number}", "read", number, None)
            ended.set()
            return 0

        with self.bounded(tmp_path, carry_out) as door, closing(door.connect()) as connection:
            began = time.monotonic()
            send(connection, {**COMMAND, "method": "org.syncd.Sync", "parameters": {}})

            assert ended.wait(10)
            assert time.monotonic() - began < 5

    def test_one_who_goes_away_does_not_end_the_verb(self, door):
        gone, ended = threading.Event(), threading.Event()

        def carry_out(call):
            assert gone.wait(10)
            for _ in range(10):
                call.write("stdout", "x")
            ended.set()
            return 0

        door.carry_out = carry_out
        with closing(door.connect()) as connection:
            send(connection, COMMAND)
        gone.set()

        assert ended.wait(10)
        assert [{"parameters": {"status": {"state": "idle"}}}] == door.ask("org.syncd.Status")

    @pytest.mark.parametrize(
        ("oneway", "half", "wanted"), [(False, False, False), (True, False, True), (False, True, True)]
    )
    def test_a_verb_is_wanted_until_its_peer_has_closed_unless_it_wants_no_reply(
        self, door, oneway, half, wanted
    ):
        closed, found = threading.Event(), []

        def carry_out(call):
            assert closed.wait(10)
            found.append(call.wanted)
            return 0

        door.carry_out = carry_out
        with closing(door.connect()) as connection:
            send(connection, {"method": "org.syncd.Sync", "oneway": oneway})
            if half:
                connection.shutdown(socket.SHUT_WR)
                closed.set()
                assert list(replies(connection))
        closed.set()
        until = time.monotonic() + 10
        while not found:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert [wanted] == found

    def test_the_end_waits_for_a_call_and_takes_no_more(self, tmp_path):
        def carry_out(call):
            time.sleep(0.5)
            call.write("stdout", "done")
            return 0

        found = []
        with self.bounded(tmp_path, carry_out) as door:
            connection, idle = door.connect(), door.connect()
            thread = threading.Thread(target=lambda: found.extend(asked(connection, COMMAND)))
            thread.start()
            time.sleep(0.2)
        thread.join()

        assert {"exit_code": 0} == found[-1]["parameters"]
        assert b"" == idle.recv(10)
        connection.close()
        idle.close()
        assert not door.place.exists()

    def test_the_end_does_not_wait_for_ever(self, tmp_path):
        release = threading.Event()
        began = time.monotonic()
        with self.bounded(tmp_path, lambda _call: int(release.wait(20)), drain=0.3) as door:
            connection = door.connect()
            send(connection, COMMAND)
            while not door.calls:
                time.sleep(0.01)
        release.set()
        connection.close()

        assert time.monotonic() - began < 5


class TestFuzz:
    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.binary(max_size=200))
    def test_whatever_is_sent_the_service_goes_on(self, door, data):
        with closing(door.connect()) as connection:
            connection.sendall(data + b"\0")
            connection.shutdown(socket.SHUT_WR)
            for reply in replies(connection):
                assert "error" in reply or "parameters" in reply
        assert [{"parameters": {"status": {"state": "idle"}}}] == door.ask("org.syncd.Status")

    @settings(max_examples=100)
    @given(
        texts=st.lists(st.text(max_size=50), min_size=1, max_size=5),
        cuts=st.lists(st.integers(1, 60), min_size=1, max_size=20),
    )
    def test_frames_are_the_same_however_they_are_cut(self, texts, cuts):
        data, sizes = b"".join(encoded({"text": text}) for text in texts), itertools.cycle(cuts)
        one, other = socket.socketpair()
        with one, other:

            def send_all():
                at = 0
                while at < len(data):
                    at += one.send(data[at : at + next(sizes)])
                one.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send_all)
            sender.start()
            frames = Frames(other)
            found = list(iter(lambda: frames.next(10, 10), None))
            sender.join()

        assert [{"text": text} for text in texts] == found

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    NAMES = st.sampled_from(["arguments", "terminal", "agreed", "asked_by", "sources", "full", "enterprise", "run",
                             "plan", "why", "preview", "operations", "all", "connection", "interface"])  # fmt: skip
    METHODS = st.sampled_from(["Command", "Status", "Sync", "Preview", "Apply", "Undo", "Release", "Discard"])

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(method=METHODS, parameters=st.dictionaries(NAMES, JSON, max_size=4), more=JSON)
    def test_whatever_is_given_is_answered(self, door, method, parameters, more):
        with closing(door.connect()) as connection:
            found = asked(
                connection, {"method": f"org.syncd.{method}", "parameters": parameters, "more": more}
            )

        assert found
        assert "error" in found[-1] or "parameters" in found[-1]
        assert not found[-1].get("error", "").endswith("Failed") or found[-1]["parameters"]["exit_code"] != 70


class TestPeers:
    def test_the_kernel_says_who_it_is(self):
        one, other = socket.socketpair()
        with one, other:
            peer = peer_of(one)

        assert (os.getpid(), os.geteuid()) == (peer.pid, peer.uid)
        assert {os.getegid(), *os.getgroups()} == peer.groups

    def test_who_may_do_what(self):
        group = grp.getgrall()[-1]
        member, stranger = Peer(1, 4711, frozenset({group.gr_gid})), Peer(2, 4711, frozenset({60_001}))
        operators, readers = Rights((group.gr_name,)), Rights((), (group.gr_name, "no such group"))

        assert (True, True) == (member.changes(operators), member.looks(operators))
        assert (False, True) == (member.changes(readers), member.looks(readers))
        assert (False, False) == (stranger.changes(operators), stranger.looks(readers))
        assert (True, True) == (
            Peer(3, 0, frozenset()).changes(readers),
            Peer(3, os.geteuid(), frozenset()).changes(readers),
        )
        assert "4711" == member.name

    STRANGER = """
import json, os, socket, sys
os.setgroups([int(one) for one in sys.argv[2].split(",") if one])
os.setgid(65534)
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
call = {"method": sys.argv[3], "more": True, "parameters": json.loads(sys.argv[4])}
try:
    connection.sendall(json.dumps(call).encode() + b"\\0")
except BrokenPipeError:
    pass
data = b""
while not data.endswith(b"\\0"):
    data += connection.recv(65536)
print(data.split(b"\\0")[-2].decode())
"""

    def stranger(self, door, method, groups=(), **parameters):
        """Ask as the user nobody, with these groups."""
        words = [
            os.fspath(door.place),
            ",".join(map(str, groups)),
            f"org.syncd.{method}",
            json.dumps(parameters),
        ]
        done = subprocess.run(
            [sys.executable, "-c", self.STRANGER, *words], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    @pytest.fixture
    def reachable(self, door):
        if os.geteuid() != 0:
            pytest.skip("only root can become somebody else")
        for folder in (door.place, *door.place.parents):
            if str(folder).startswith("/tmp/"):
                folder.chmod(0o777)
        return door

    def test_a_stranger_is_told_nothing(self, reachable):
        for method, parameters in (
            ("Status", {}),
            ("Reload", {}),
            ("Sync", {}),
            ("Command", {"arguments": ["runs"]}),
        ):
            reply = self.stranger(reachable, method, **parameters)

            assert "org.syncd.NotPermitted" == reply["error"]
            assert 77 == reply["parameters"]["exit_code"]
            assert "nobody may not do this" in reply["parameters"]["message"]
        assert ([], 0) == (reachable.calls, reachable.reloads)

    def test_strangers_take_no_room(self, reachable):
        with ExitStack() as opened:
            for _ in range(15):
                asked(opened.enter_context(closing(reachable.connect())), {"method": "org.syncd.Status"})
            for _ in range(5):
                assert "org.syncd.NotPermitted" == self.stranger(reachable, "Status")["error"]

    def test_a_reader_may_look_and_nothing_else(self, reachable):
        group = grp.getgrnam("games")
        reachable.rights = Rights((), (group.gr_name,))

        def ask(method, **parameters):
            reply = self.stranger(reachable, method, [group.gr_gid], **parameters)
            return reply.get("error", "").rpartition(".")[2] or reply["parameters"]

        assert {"status": {"state": "idle"}} == ask("Status")
        assert {"exit_code": 0} == ask("Command", arguments=["queue"])
        assert {"exit_code": 0} == ask(
            "Command", arguments=["verify", "--repair"]
        )  # which the verb itself refuses
        assert ["NotPermitted"] * 4 == [
            ask("Command", arguments=["queue", "release", "1"]), ask("Reload"), ask("Sync"), ask("Discard", operations=[1]),
        ]  # fmt: skip
        assert [False, False] == [call.changes for call in reachable.calls]

    def test_an_operator_may_do_everything_in_their_own_name(self, reachable):
        group = grp.getgrnam("games")
        reachable.rights = Rights((group.gr_name,))
        reply = self.stranger(reachable, "Command", [group.gr_gid], arguments=["sync"], asked_by="root")

        assert {"exit_code": 0} == reply["parameters"]
        assert [(True, "nobody")] == [(call.changes, call.actor) for call in reachable.calls]

    @pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
    def test_who_became_root_is_believed(self, door):
        door.ask("org.syncd.Command", more=True, arguments=["sync"], asked_by="ada")
        door.ask("org.syncd.Command", more=True, arguments=["sync"])

        assert ["ada as root", "root"] == [call.actor for call in door.calls]


class TestListening:
    def test_only_the_group_can_connect(self, tmp_path):
        place = tmp_path / "control.sock"
        with open_socket(place, {}):
            status = place.stat()

        assert 0o660 == status.st_mode & 0o7777
        groups = [one.gr_gid for one in grp.getgrall() if one.gr_name == "syncd-admin"] or [os.getegid()]
        assert (pwd.getpwuid(os.geteuid()).pw_uid, groups[0]) == (status.st_uid, status.st_gid)
        assert not place.exists()

    def test_what_a_killed_service_left_is_replaced(self, tmp_path):
        place = tmp_path / "control.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(place))
        with open_socket(place, {}) as listener, closing(socket.socket(socket.AF_UNIX)) as asking:
            asking.connect(os.fspath(place))
            listener.accept()[0].close()

    def test_one_that_is_answered_is_left_alone(self, tmp_path):
        place = tmp_path / "control.sock"
        with open_socket(place, {}), pytest.raises(Busy, match=r"control\.sock"), open_socket(place, {}):
            pass

    def test_another_ones_file_is_left_alone_at_the_end(self, tmp_path):
        place = tmp_path / "control.sock"
        with open_socket(place, {}):
            place.unlink()
            place.write_text("another")

        assert "another" == place.read_text()

    def test_what_is_no_socket_is_left_alone(self, tmp_path):
        place = tmp_path / "control.sock"
        place.write_text("precious")
        with pytest.raises(ConfigError, match="is no socket"), open_socket(place, {}):
            pass

        assert "precious" == place.read_text()

    def test_a_path_that_is_too_long_is_said_to_be(self, tmp_path):
        place = tmp_path / ("x" * 110)
        with pytest.raises(ConfigError, match="more than 107 bytes"), open_socket(place, {}):
            pass

    def test_a_missing_folder_is_made(self, tmp_path):
        with open_socket(tmp_path / "run" / "control.sock", {}):
            assert 0o755 == (tmp_path / "run").stat().st_mode & 0o777

    ACTIVATED = """
import os, socket, sys
from pathlib import Path
from syncd.control.listening import open_socket
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
os.dup2(listener.fileno(), 3)
environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() if sys.argv[2] == "mine" else 1), "LISTEN_FDNAMES": "x"}
with open_socket(Path(sys.argv[1] + ".own"), environ) as found:
    print(found.fileno(), found.getsockname(), sorted(environ), os.get_inheritable(3))
print(os.path.exists(sys.argv[1]))
"""

    @pytest.mark.parametrize("fate", ["abstract", "gone"])
    def test_one_of_systemd_need_not_be_a_file(self, tmp_path, fate):
        """A name that begins with NUL is in no folder (unix(7)); and somebody may have tidied up."""
        place = tmp_path / "x"
        code = self.ACTIVATED.replace("bind(sys.argv[1])", "bind('\\0' + sys.argv[1])")
        code = (
            code
            if fate == "abstract"
            else self.ACTIVATED.replace("os.dup2", "os.unlink(sys.argv[1]); os.dup2")
        )
        done = subprocess.run(
            [sys.executable, "-c", code, place, "mine"], capture_output=True, text=True, check=True
        )

        assert done.stdout.startswith("3 ")

    @pytest.mark.parametrize("count", ["1000000", "9" * 30])
    def test_descriptors_that_are_not_there_keep_no_service_from_its_start(self, tmp_path, count):
        environ = {"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid())}
        with open_socket(tmp_path / "x", environ) as found:
            assert str(tmp_path / "x") == found.getsockname()

    @pytest.mark.parametrize("whose", ["mine", "another's"])
    def test_what_systemd_opened_is_taken_over_and_stays(self, tmp_path, whose):
        place = tmp_path / "x"
        done = subprocess.run(
            [sys.executable, "-c", self.ACTIVATED, place, whose], capture_output=True, text=True, check=True
        )
        own = f"{place}.own"

        if whose == "mine":
            assert [f"3 {place} [] False", "True"] == done.stdout.splitlines()
        else:
            assert f"{own} []" in done.stdout
