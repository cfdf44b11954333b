"""The scripts of ``syncd completion``, in the shells that are installed."""

import json
import shutil
import subprocess
import sys

import cli_world
import pytest
from cli_world import environment

office = cli_world.office

BASH = """
source "$1"
function=$(complete -p syncd | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"$function" syncd
printf '%s\\n' "${COMPREPLY[@]}"
"""


def in_shell(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


class Shells:
    """A ``syncd`` on the path, and what shells complete of its command lines."""

    def __init__(self, office):
        self.office = office
        program = office.folder / "bin" / "syncd"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m syncd "$@"\n', "utf-8")
        program.chmod(0o755)
        self.bin = program.parent

    def script(self, shell):
        path = self.office.folder / f"completion.{shell}"
        path.write_text(self.run("syncd", "completion", shell), "utf-8")
        return str(path)

    def run(self, *words):
        known = environment(SYNCD_CONFIG=str(self.office.config), HOME=str(self.office.folder))
        known["PATH"] = f"{self.bin}:{known['PATH']}"
        return subprocess.run(words, capture_output=True, text=True, check=True, env=known).stdout


@pytest.fixture
def shells(office):
    return Shells(office)


@pytest.mark.parametrize(
    "shell", [pytest.param(name, marks=in_shell(name)) for name in ("bash", "zsh", "fish")]
)
def test_a_shell_can_read_its_script(shells, shell):
    assert "" == shells.run(shell, "-n", shells.script(shell))


@in_shell("bash")
def test_bash_completes_a_verb_a_source_and_an_option(shells):
    def complete(*words):
        script = shells.script("bash")
        return shells.run("bash", "--norc", "-c", BASH, "bash", script, "syncd", *words).split()

    assert ["preview"] == complete("prev")
    assert ["directory"] == complete("preview", "hr", "d")
    assert ["--full"] == complete("sync", "--f")


@in_shell("fish")
def test_fish_completes_a_verb_and_a_source(shells):
    def complete(line):
        text = shells.run("fish", "-N", "-c", f"source {shells.script('fish')}; complete -C '{line}'")
        return [offered.partition("\t")[0] for offered in text.splitlines()]

    assert ["preview"] == complete("syncd prev")
    assert ["directory"] == complete("syncd preview hr d")


def test_zsh_has_the_function_registered_from_the_first_completion_on(office):
    """click's own script leaves that to the second one, which then offers nothing."""
    loaded = office.out("completion", "zsh").partition("loadautofunc ]]; then\n")[2].partition("else\n")[0]

    assert ["compdef _syncd_completion syncd", '_syncd_completion "$@"'] == [
        line.strip() for line in loaded.splitlines() if "#" not in line
    ]


def test_the_script_needs_no_configuration_and_names_the_program(office):
    office.config.unlink()
    script = office.out("completion", "zsh")

    assert script.startswith("#compdef syncd\n")
    assert {"shell": "zsh", "script": script} == json.loads(office.out("completion", "zsh", "--json"))


def test_a_shell_that_is_not_known_is_wrong_use(office):
    result = office.run("completion", "tcsh")

    assert 64 == result.exit_code
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr
