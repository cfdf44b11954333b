"""The verb ``completion``: the script with which a shell completes what follows ``syncd``."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from .failures import PROGRAM
from .options import examples, json_option
from .output import write_json


@click.command(
    epilog=examples(
        "syncd completion bash > /usr/share/bash-completion/completions/syncd       for all users",
        "syncd completion bash > ~/.local/share/bash-completion/completions/syncd   for you",
        "syncd completion zsh > /usr/local/share/zsh/site-functions/_syncd          any folder of $fpath",
        "syncd completion fish > /usr/share/fish/vendor_completions.d/syncd.fish    for all users",
        "syncd completion fish > ~/.config/fish/completions/syncd.fish              for you",
    )
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(ctx: click.Context, /, *, shell: str, as_json: bool) -> None:
    """Print the script by which SHELL (bash, zsh or fish) completes verbs, options, sources and runs.

    Write it to where the shell looks for it, as below; new shells have it. bash needs the package
    bash-completion for this; without it, put eval "$(syncd completion bash)" into ~/.bashrc. Needs no
    configuration. Names and runs are completed for whoever may read the configuration and the database.
    """
    script = _script(ctx.find_root().command, shell)
    if as_json:
        write_json({"shell": shell, "script": script})
    else:
        click.echo(script, nl=False)


def _script(root: click.Command, shell: str) -> str:
    """Return click's script; bash is not started to ask how old it is.

    zsh loads it with the first completion of a session. click registers its function with the second, which
    then offers nothing; here the first one does.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise LookupError(f"click knows no {shell}")
    completing = kind(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    call = f'    {completing.func_name} "$@"\n'
    return ShellComplete.source(completing).replace(
        call, f"    compdef {completing.func_name} {PROGRAM}\n{call}"
    )
