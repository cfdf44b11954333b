"""The lock, with real processes."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd.errors import Busy, StoreError
from syncd.lock import Forbidden, Lock

OWNER = """
import subprocess, sys
from pathlib import Path
from syncd.errors import Busy
from syncd.lock import Lock

lock = Lock(Path(sys.argv[1]), sys.argv[2])
for line in sys.stdin:
    word = line.strip()
    try:
        if word == "take":
            lock.__enter__()
        elif word == "leave":
            lock.__exit__(None, None, None)
        elif word == "start":
            print(subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid, flush=True)
            continue
        print("done", flush=True)
    except Busy as busy:
        print(busy.holder, flush=True)
"""


class Owner:
    """A process that takes and leaves the lock when told."""

    def __init__(self, directory: Path, verb: str) -> None:
        command = [sys.executable, "-c", OWNER, str(directory), verb]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, word: str) -> None:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        return self.process.stdout.readline().strip()

    def ask(self, word: str) -> str:
        self.send(word)
        return self.answer()


@contextmanager
def owners(directory: Path, *verbs: str) -> Iterator[list[Owner]]:
    started = [Owner(directory, verb) for verb in verbs]
    try:
        yield started
    finally:
        for owner in started:
            owner.process.kill()
            owner.process.communicate()


def state_of(tmp_path: Path) -> Path:
    return tmp_path / "state"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_of_many_that_race_exactly_one_becomes_the_owner(tmp_path):
    """In each of 50 races one of four processes wins, and the others are told its pid and verb."""
    with owners(state_of(tmp_path), "daemon", "apply", "undo", "demo") as racers:
        for _ in range(50):
            for racer in racers:
                racer.send("take")
            answers = [racer.answer() for racer in racers]

            winners = [racer for racer, answer in zip(racers, answers, strict=True) if answer == "done"]
            assert 1 == len(winners), answers
            winner = winners[0]
            verb = winner.process.args[-1]
            named = f"process {winner.process.pid} (syncd {verb})"
            assert {named} == set(answers) - {"done"}
            assert "done" == winner.ask("leave")


def test_kill_9_frees_the_directory(tmp_path):
    with owners(state_of(tmp_path), "daemon") as [owner]:
        assert "done" == owner.ask("take")
        owner.process.send_signal(signal.SIGKILL)
        owner.process.wait()

        with Lock(state_of(tmp_path), "apply"):
            assert f"pid {os.getpid()}\n" in (state_of(tmp_path) / "lock").read_text()


def test_a_program_started_by_the_owner_does_not_keep_the_lock(tmp_path):
    with owners(state_of(tmp_path), "daemon") as [owner]:
        owner.ask("take")
        outliving = int(owner.ask("start"))
        try:
            owner.process.kill()
            owner.process.wait()

            with Lock(state_of(tmp_path)):
                pass
        finally:
            os.kill(outliving, signal.SIGKILL)


def test_a_second_lock_of_the_same_process_is_refused(tmp_path):
    with (
        Lock(state_of(tmp_path), "daemon"),
        pytest.raises(Busy) as refused,
        Lock(state_of(tmp_path), "apply"),
    ):
        pass

    assert f"process {os.getpid()} (syncd daemon)" == refused.value.holder
    assert 75 == refused.value.exit_code
    assert "(syncd daemon)" in str(refused.value)


def test_a_holder_that_was_killed_is_not_named(tmp_path):
    """What a dead owner left in the file is not taken for the word of the living one."""
    with Lock(state_of(tmp_path), "daemon"):
        gone = subprocess.Popen(["true"])
        gone.wait()
        (state_of(tmp_path) / "lock").write_text(f"pid {gone.pid}\nboot x\nverb apply\n")

        with pytest.raises(Busy) as refused, Lock(state_of(tmp_path)):
            pass

    assert "another process" == refused.value.holder


def test_the_file_says_who_owns_it_for_as_long_as_that_holds(tmp_path):
    with Lock(state_of(tmp_path), "daemon"):
        text = (state_of(tmp_path) / "lock").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert f"pid {os.getpid()}\nboot {boot}\nverb daemon\n" == text

    assert "" == (state_of(tmp_path) / "lock").read_text()


def test_what_is_made_is_closed_to_others_whatever_the_umask(tmp_path):
    before = os.umask(0o000)
    try:
        with Lock(state_of(tmp_path)):
            (state_of(tmp_path) / "syncd.db").touch()
        after = os.umask(0o000)
    finally:
        os.umask(before)

    assert 0o700 == mode_of(state_of(tmp_path))
    assert 0o600 == mode_of(state_of(tmp_path) / "lock")
    assert 0o600 == mode_of(state_of(tmp_path) / "syncd.db")
    assert 0o000 == after


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o755, 0o770, 0o777])
def test_a_directory_that_others_can_enter_is_refused_with_the_cure(tmp_path, mode):
    state_of(tmp_path).mkdir()
    state_of(tmp_path).chmod(mode)

    with (
        pytest.raises(Forbidden, match=f"chmod 700 {state_of(tmp_path)}") as refused,
        Lock(state_of(tmp_path)),
    ):
        pass

    assert 77 == refused.value.exit_code
    assert [] == list(state_of(tmp_path).iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused_even_to_root(tmp_path):
    """A file that root made in it would keep the service out of its own directory."""
    state_of(tmp_path).mkdir(mode=0o700)
    os.chown(state_of(tmp_path), 65534, 65534)

    with pytest.raises(Forbidden, match=r"belongs to nobody.*runuser -u nobody"), Lock(state_of(tmp_path)):
        pass

    assert [] == list(state_of(tmp_path).iterdir())


def test_a_lock_file_that_is_a_symbolic_link_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_text("kept")
    state_of(tmp_path).mkdir(mode=0o700)
    (state_of(tmp_path) / "lock").symlink_to(target)

    with pytest.raises(Forbidden, match="symbolic link"), Lock(state_of(tmp_path)):
        pass

    assert "kept" == target.read_text()


def test_a_directory_behind_a_symbolic_link_is_used(tmp_path):
    """systemd keeps the state of a service with a dynamic user behind one."""
    (tmp_path / "real").mkdir(mode=0o700)
    state_of(tmp_path).symlink_to(tmp_path / "real")

    with Lock(state_of(tmp_path)):
        assert (tmp_path / "real" / "lock").exists()


def test_a_state_directory_that_is_a_file_is_an_error_that_names_it(tmp_path):
    state_of(tmp_path).write_text("")

    with pytest.raises(StoreError, match=str(state_of(tmp_path))), Lock(state_of(tmp_path)):
        pass


def test_a_refusal_leaves_the_umask_as_it_was(tmp_path):
    state_of(tmp_path).mkdir()
    state_of(tmp_path).chmod(0o755)
    before = os.umask(0o022)
    try:
        with pytest.raises(Forbidden), Lock(state_of(tmp_path)):
            pass
        after = os.umask(0o022)
    finally:
        os.umask(before)

    assert 0o022 == after


def test_a_lock_can_be_taken_again_after_it_was_left(tmp_path):
    lock = Lock(state_of(tmp_path))
    with lock:
        pass
    with lock:
        assert (state_of(tmp_path) / "lock").exists()
