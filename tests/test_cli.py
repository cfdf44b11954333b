"""The command line as a whole: what help imports, exit codes, failures in words, completion."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import cli_world
import click
import pytest
from cli_world import PROGRAM, environment

from syncd import logs
from syncd.cli import VERBS, root
from syncd.cli.session import Session
from syncd.errors import Denied, SyncdError, Unavailable
from syncd.lock import Lock
from syncd.pipeline import line

office = cli_world.office

HEAVY = {
    "httpx", "httpx2", "ldap3", "phonenumbers", "pydantic", "rich", "schedule", "sqlite3", "sqlite_utils",
    "structlog", "syncd.config", "syncd.pipeline", "syncd.plugins", "syncd.store",
}  # fmt: skip
IMPORTED = """
import sys
from syncd.cli import root
try:
    root.main(sys.argv[1:], prog_name="syncd")
except SystemExit as end:
    print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
    sys.exit(end.code)
"""


def commands(group=root, path=()):
    """Yield every command with the words that call it; another's demo may not be there yet."""
    for name in group.lazy:
        command = group.get_command(click.Context(group), name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())
LEAVES = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=" ".join)


class TestHelp:
    @pytest.mark.parametrize("words", [(), *([verb] for verb in VERBS if verb != "demo"), ("queue", "list")])
    def test_help_opens_nothing_and_imports_nothing_heavy(self, words):
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED, *words, "--help"],
            capture_output=True, text=True, check=False, env=environment(SYNCD_CONFIG="/nowhere"),
        )  # fmt: skip

        assert 0 == done.returncode, done.stderr
        assert "Usage: syncd" in done.stdout
        assert set() == HEAVY & set(done.stderr.splitlines())

    @named(COMMANDS)
    def test_every_command_says_what_it_does_and_gives_examples(self, path):
        command = COMMANDS[path]

        assert (command.help or "").partition("\n")[0].endswith((".", ":")) or "\n" in command.help
        assert "Examples:" in (command.epilog or "")
        assert f"syncd {' '.join(path)}" in command.epilog

    @named(LEAVES)
    def test_every_command_can_write_json(self, path):
        if path in (("demo",), ("daemon",)):
            pytest.skip("has no result")

        assert "as_json" in [parameter.name for parameter in LEAVES[path].params]

    @named(LEAVES)
    def test_every_option_has_a_help(self, path):
        options = [one for one in LEAVES[path].params if isinstance(one, click.Option)]

        assert [] == [one.name for one in options if not one.help]

    def test_what_is_called_without_a_verb_is_wrong_use(self, office):
        done = office.process()

        assert 0 == office.run("--help").exit_code
        assert (64, "") == (office.run().exit_code, done.stdout.partition("Usage")[0])

    def test_a_wrong_log_level_is_blamed_on_what_said_it(self, office):
        text = (
            "Error: Invalid value for {}: 'bogus' is not one of 'off', 'error', 'warning', 'info', 'debug'.\n"
        )
        by_variable = office.process("runs", env=environment(SYNCD_LOG_LEVEL="bogus"))
        by_option = office.process("--log-level", "bogus", "runs", env=environment(SYNCD_LOG_LEVEL="info"))

        assert (64, 64) == (by_variable.returncode, by_option.returncode)
        assert by_variable.stderr.endswith(text.format("the environment variable SYNCD_LOG_LEVEL"))
        assert by_option.stderr.endswith(text.format("'--log-level'"))

    def test_the_version_is_that_of_the_distribution(self):
        done = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, check=True)

        assert done.stdout.startswith("syncd, ") or done.stdout.startswith("syncd ")


class TestDocumentation:
    PAGE = (Path(__file__).parent.parent / "docs" / "commands.md").read_text("utf-8")

    def section(self, path):
        """Return what the page says under the command's own heading."""
        _, _, rest = self.PAGE.partition(f"\n### syncd {' '.join(path)}\n")
        return rest.partition("\n### ")[0]

    @named(LEAVES)
    def test_every_command_and_option_stands_in_docs_commands(self, path):
        section = self.section(path)
        options = [name for one in LEAVES[path].params if isinstance(one, click.Option) for name in one.opts]
        shared = {"--json", "--yes", "-y", "--why", "-h", "--help"}

        assert section, f"docs/commands.md has no heading '### syncd {' '.join(path)}'"
        assert [] == [name for name in options if name not in shared and f"`{name}" not in section]

    def test_no_command_is_documented_that_there_is_not(self):
        headings = [line[10:] for line in self.PAGE.splitlines() if line.startswith("### syncd ")]

        assert [" ".join(path) for path in LEAVES] == headings


class TestExitCodes:
    """sysexits, from real processes."""

    @pytest.mark.parametrize(
        "words",
        [
            ("bogus",),
            ("sync", "--bogus"),
            ("apply",),
            ("apply", "one"),
            ("sync", "nowhere"),
            ("runs", "99"),
            ("queue", "release"),
            ("queue", "show", "99"),
            ("verify", "nowhere"),
            ("config", "show", "nothing"),
            ("preview", "--kind", "wrong"),
        ],
        ids=" ".join,
    )
    def test_wrong_use_is_64(self, office, words):
        office.out("preview", "hr", code=3)

        assert 64 == office.process(*words).returncode

    def test_a_person_who_cannot_be_asked_is_64_and_told_what_to_add(self, office):
        office.out("preview", "hr", code=3)
        done = office.process("apply", "1", stdin=subprocess.DEVNULL)

        assert 64 == done.returncode
        assert "first-run: the first plan of this connection waits for a person" in done.stderr
        assert "add --yes" in done.stderr

    def test_every_problem_of_the_configuration_is_told_at_once_with_78(self, office):
        office.set('anchor = "number"', 'ancor = "number"')
        office.set('type = "ldif"', 'type = "ldiff"')
        done = office.process("sync")

        assert 78 == done.returncode
        assert "ancor: unknown key; did you mean 'anchor'?" in done.stderr
        assert "ldiff" in done.stderr
        assert all(part.startswith("syncd: ") for part in done.stderr.splitlines())

    def test_a_missing_configuration_is_78(self, tmp_path):
        command = [*PROGRAM, "--config", str(tmp_path / "no.toml"), "runs"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert (78, "") == (done.returncode, done.stdout)
        assert "there is no such file" in done.stderr

    def test_a_source_that_is_not_there_is_69(self, office):
        (office.folder / "hr.csv").unlink()

        done = office.process("preview", "hr")

        assert 69 == done.returncode
        assert "syncd: hr: " in done.stderr

    def test_a_source_that_must_not_be_trusted_is_77(self, office):
        (office.folder / "hr.csv").chmod(0o666)

        assert 77 == office.process("preview", "hr").returncode

    def test_another_owner_of_the_state_directory_is_75(self, office):
        office.out("preview", "hr", code=3)
        with Lock(office.folder / "state", "daemon"):
            done = office.process("sync")

        assert 75 == done.returncode
        assert f"process {os.getpid()} (syncd daemon)" in done.stderr

    def test_an_output_that_cannot_be_written_is_74(self, office):
        office.begin()
        with Path("/dev/full").open("w") as full:
            done = office.process("runs", stdout=full, capture_output=False, stderr=subprocess.PIPE)

        assert 74 == done.returncode
        assert "No space left on device" in done.stderr

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("--help >/dev/full", 74),
            ("runs >/dev/full 2>/dev/full", 74),
            ("--nonsense 2>/dev/full", 64),
            ("accounts show nobody 2>/dev/full", 64),
            ("sync hr --apply-all 2>&-", 64),
            ("runs >&-", 0),
            ("runs <&- >&- 2>&-", 0),
            ("--version >&PIPE", 141),
            ("nonsense >&PIPE 2>&1", 64),
        ],
    )
    def test_what_cannot_be_written_never_changes_how_it_ends(self, office, command, code):
        office.begin()
        program = shlex.join([*PROGRAM, "--config", str(office.config)])
        read, pipe = os.pipe()
        os.close(read)
        done = subprocess.run(
            ["bash", "-c", f"{program} {command.replace('PIPE', str(pipe))}"],
            capture_output=True, text=True, check=False, env=environment(), pass_fds=[pipe],
        )  # fmt: skip
        os.close(pipe)

        assert (code, False) == (done.returncode, "Traceback" in done.stderr)

    def test_who_cannot_be_told_has_all_done_nevertheless(self, office):
        office.set('operations = ["add", "update", "remove"]', 'detain = "never"')
        (office.folder / "directory.ldif").unlink()
        with Path("/dev/full").open("w") as full:
            done = office.process("sync", stderr=full, capture_output=False, stdout=subprocess.PIPE)

        assert 69 == done.returncode
        assert 3 == len(office.json("accounts")["accounts"])

    def test_a_database_that_is_none_is_74(self, office):
        office.out("preview", "hr", code=3)
        office.database.write_bytes(b"no database at all" * 100)

        assert 74 == office.process("runs").returncode
        assert 74 == office.process("sync").returncode

    def test_a_held_plan_is_3(self, office):
        assert 3 == office.process("preview", "hr").returncode
        assert 3 == office.process("sync").returncode

    def test_operations_are_2_if_that_is_asked_for(self, office):
        office.set('operations = ["add", "update", "remove"]', 'detain = "never"')

        assert 0 == office.process("preview", "hr").returncode
        assert 2 == office.process("preview", "hr", "--detailed-exitcode").returncode
        assert 0 == office.process("sync").returncode
        assert 0 == office.process("preview", "hr", "--detailed-exitcode").returncode

    def test_a_reader_that_goes_away_is_no_failure_to_talk_about(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(2000)}
        office.write()
        office.begin()
        command = [*PROGRAM, "--config", str(office.config), "accounts"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()

            assert b"" == process.stderr.read()
            assert 141 == process.wait()


class TestFailures:
    def test_one_source_that_fails_does_not_stop_the_others_and_the_worst_code_counts(self, office):
        office.begin()
        (office.folder / "hr.csv").unlink()
        (office.folder / "directory.ldif").write_text(
            (office.folder / "directory.ldif").read_text("utf-8").replace("111", "222"), "utf-8"
        )
        result = office.run("sync")

        assert 69 == result.exit_code
        assert "syncd: hr: " in result.stderr
        assert "directory: run 5 is done: 1 entry, 0 unchanged, 1 applied" in result.stdout
        assert "platform phonebook: 1 confirmed" in result.stdout

    def test_an_enterprise_has_all_its_sources_read_in_its_order(self, office):
        office.set('"hr", "directory"]', '"directory", "hr"]')
        result = office.run("sync", "--enterprise", "acme", "--json")

        assert ["directory", "hr"] == [run["connection"] for run in json.loads(result.stdout)["runs"]]
        for words, text in (
            (("acme", "hr"), "name sources, or an enterprise with all of its sources; not both"),
            (("other",), "there is no enterprise 'other' in the configuration; configured are: acme"),
        ):
            result = office.run("preview", "--enterprise", *words)
            assert (64, True) == (result.exit_code, text in result.stderr)

    def test_a_failed_source_has_its_place_in_the_document(self, office):
        (office.folder / "hr.csv").unlink()
        document = office.json("preview", code=69)

        assert ["failed", "planned"] == [run["state"] for run in document["runs"]]
        assert "there is no such file" in document["runs"][0]["error"]

    def test_the_unexpected_is_one_line_that_says_how_to_report_it(self, office, monkeypatch):
        monkeypatch.setattr(line, "plan_run", lambda *_, **__: {}["nothing"])
        result = office.run("preview", "hr")

        assert 70 == result.exit_code
        assert 1 == len(result.stderr.splitlines())
        assert "unexpected KeyError: 'nothing'" in result.stderr
        assert "please report it" in result.stderr

    def test_debug_shows_where_the_unexpected_came_from(self, office, monkeypatch):
        monkeypatch.setattr(line, "plan_run", lambda *_, **__: {}["nothing"])
        result = office.run("--log-level", "debug", "preview", "hr")

        assert "Traceback" in result.stderr
        assert 70 == result.exit_code

    @pytest.mark.parametrize(
        "error", [SyncdError("no geheim123"), Unavailable("no geheim123"), ValueError("no geheim123")]
    )
    def test_no_failure_shows_a_secret(self, office, monkeypatch, error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(line, "plan_run", fail)
        logs.remember_secret("geheim123")
        result = office.run("--log-level", "debug", "preview", "hr", "--json")

        assert "geheim123" not in result.output
        assert "no ***" in result.output

    def test_what_a_plugin_denies_ends_with_the_code_of_its_kind(self, office, monkeypatch):
        def fail(*_, **__):
            raise Denied("the password is wrong")

        monkeypatch.setattr(line, "plan_run", fail)

        assert 77 == office.run("preview", "hr").exit_code


class TestReading:
    """Verbs that change nothing work while another process owns the state directory."""

    @pytest.mark.parametrize(
        "words",
        [
            ("runs",), ("runs", "1"), ("queue",), ("queue", "show", "1"), ("accounts",), ("accounts", "show", "ada"),
            ("explain", "ada"), ("deliveries",), ("verify",), ("check",), ("config",), ("plugins",), ("db", "verify"),
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_it_works_beside_an_owner(self, office, words):
        office.begin()
        with Lock(office.folder / "state", "daemon"):
            result = office.run(*words)
            document = office.run(*words, "--json")

        assert 0 == result.exit_code, result.output
        assert json.loads(document.stdout)

    def test_without_a_database_it_says_what_makes_one(self, office):
        result = office.run("runs")

        assert 74 == result.exit_code
        assert "the first preview or sync makes it" in result.stderr


class TestPlugins:
    def test_a_plugin_that_fails_is_named_and_its_guards_being_absent_holds_every_run(self, office):
        office.set("[template.desk]", 'plugins = ["acme_hr"]\n[template.desk]')
        result = office.run("preview", "hr")

        assert 3 == result.exit_code
        assert "acme_hr" in result.stderr
        assert "every run is held until this is mended" in result.stderr
        assert "plugin-missing" in result.stdout
        assert "nobody can set this aside" in result.stdout

    def test_a_verb_of_a_plugin_is_found_and_cannot_replace_one_of_ours(self, office, monkeypatch):
        class Hooks:
            def register_commands(self, group):
                assert "sync" in group.commands
                group.add_command(click.Command("hello", callback=lambda: click.echo("hello yourself")))

        monkeypatch.setattr(Session, "plugins", type("Plugins", (), {"hooks": Hooks()}))

        assert "hello yourself\n" == office.out("hello")
        assert 64 == office.run("goodbye").exit_code


def complete(office, words):
    """Return what the shell would be offered behind ``words``."""
    parts = words.split(" ")
    done = subprocess.run(
        [*PROGRAM],
        capture_output=True, text=True, check=True, cwd=office.folder,
        env=environment(
            _SYNCD_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(parts) - 1),
            SYNCD_CONFIG=str(office.config),
        ),
    )  # fmt: skip
    return [offered.partition(",")[2] for offered in done.stdout.splitlines() if offered]


class TestCompletion:
    def test_verbs_sources_platforms_and_runs_are_offered(self, office):
        office.begin()

        assert ["preview"] == complete(office, "syncd prev")
        assert ["directory", "hr"] == complete(office, "syncd preview ")
        assert ["directory"] == complete(office, "syncd preview hr ")
        assert ["acme"] == complete(office, "syncd sync --enterprise ")
        assert ["phonebook"] == complete(office, "syncd verify ph")
        assert ["3", "2", "1"] == complete(office, "syncd apply ")
        assert ["release", "retry"] == complete(office, "syncd queue re")
        assert ["ids"] == complete(office, "syncd config show --preset i")

    def test_what_is_not_configured_any_more_is_offered_to_be_retired(self, office):
        office.begin()
        configured = complete(office, "syncd retire ")
        office.without("directory")

        assert ([], ["directory"]) == (configured, complete(office, "syncd retire "))
        office.out("retire", "directory", "--yes")
        assert [] == complete(office, "syncd retire ")

    def test_a_broken_configuration_completes_nothing_and_says_nothing(self, office):
        office.config.write_text("not [ toml", "utf-8")

        assert [] == complete(office, "syncd preview ")
        assert [] == complete(office, "syncd apply ")
