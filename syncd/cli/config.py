"""The verb ``config``: what is in force, and where it was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from ..errors import SyncdError
from .completing import preset_names
from .lazy import LazyGroup
from .options import examples, json_option
from .output import shown, write, write_json
from .session import session_of

config = LazyGroup(
    "config",
    default="show",
    lazy={"show": (__name__, "Show every effective value.")},
    help="""Show the configuration in force. Without a command: show.""",
    epilog=examples("syncd config show --origin", "syncd config show --preset ad-user"),
)


@click.command(
    epilog=examples(
        "syncd config show --origin               where each value comes from",
        "syncd config show source.hq              only what begins with this",
        "syncd config show --preset ad-user       what a preset stands for, to be copied",
    )
)
@click.argument("prefix", required=False)
@click.option("--origin", is_flag=True, help="Say where each value was written.")
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=preset_names,
    help="The rows of a preset instead, as they would be written.",
)
@json_option
@click.pass_context
def show(
    ctx: click.Context, /, *, prefix: str | None, origin: bool, preset: str | None, as_json: bool
) -> None:
    """Show every effective value, defaults included; of secrets only where they are to be found."""
    if preset is not None:
        _show_preset(preset, as_json=as_json)
        return
    from ..config import show as effective

    rows = [
        (path, value, str(place))
        for path, value, place in effective(session_of(ctx).settings)
        if prefix is None or path == prefix or path.startswith((f"{prefix}.", f"{prefix}["))
    ]
    if not rows:
        raise SyncdError(f"nothing of the configuration begins with {prefix!r}")
    if as_json:
        write_json(
            {"values": [{"path": path, "value": value, "origin": place} for path, value, place in rows]}
        )
        return
    width = min(max(len(f"{path} = {_toml(value)}") for path, value, _ in rows), 100)
    for path, value, place in rows:
        text = f"{path} = {_toml(value)}"
        write(f"{text.ljust(width)}  # {place}" if origin else text)


def _show_preset(name: str, *, as_json: bool) -> None:
    from ..config.presets import PRESETS

    found = PRESETS.get(name)
    if found is None:
        raise SyncdError(f"there is no preset {name!r}; there are: {', '.join(sorted(PRESETS))}")
    if as_json:
        shown_keys = {"options": found.options, "keys": found.keys, "match": found.match, "map": found.map}
        write_json({"preset": name, **shown_keys})
        return
    tables = {key: value for key, value in found.keys.items() if isinstance(value, dict)}
    plain = {**found.options, "match": found.match}
    plain |= {key: value for key, value in found.keys.items() if key not in tables}
    write(
        f"# What preset = {_toml(name)} stands for. The first part goes into [source.NAME] in place of that line."
    )
    _show_table("source.NAME", plain)
    for key, rows in {"map": found.map, **tables}.items():
        write()
        _show_table(f"source.NAME.{key}", rows)


def _show_table(header: str, rows: Mapping[str, Any]) -> None:
    write(f"[{header}]")
    for key, value in rows.items():
        write(f"{key} = {_toml(value)}")


def _toml(value: Any) -> str:
    """Return a value as TOML has it; what is not set says so."""
    if value is None:
        return "(not set)"
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {_toml(part)}" for name, part in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return shown(json.dumps(value, ensure_ascii=False))
