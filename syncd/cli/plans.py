"""How a person sees a plan and its operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .documents import KINDS
from .output import counted, heading, shown, when, write

if TYPE_CHECKING:
    from ..pipeline.installation import Installation

MOST = 50
"""How many operations of a plan are shown unless all are asked for."""

KEPT_AWAY = ("undone or discarded, not asked again", "syncd queue list --kept-away")
"""What the count ``kept_away`` tells a person, and the command that lists what it counts."""

UNMATCHED = "entries whose keys no account has, and this source makes none"
"""What the count ``unmatched`` tells a person."""

_COLOURS = {"add": "green", "enable": "green", "update": "yellow", "disable": "red", "delete": "red"}


def print_plan(here: Installation, plan: Mapping[str, Any]) -> None:
    """Write a plan for a person: operations, counts, platforms, and what the guards say."""
    zone = here.settings.timezone
    heading(_title(plan))
    if plan["why"]:
        write(f"why: {shown(plan['why'])}")
    for one in plan["operations"]:
        write()
        print_operation(one)
    total = sum(count for states in plan["totals"].values() for count in states.values())
    if len(plan["operations"]) < total:
        write()
        write(f"{len(plan['operations'])} of {counted(total, 'operation')} are shown; --all shows the rest")
    write()
    for line in _sums(plan):
        write(line)
    verdict = _verdict(plan)
    if verdict:
        write()
    for line in verdict:
        write(line)
    if plan["approved"] and plan["state"] in ("planned", "held"):
        write(f"approved by {shown(plan['approved']['who'])}, {when(plan['approved']['at'], zone)}")


def _title(plan: Mapping[str, Any]) -> str:
    about = {"sync": "", "undo": f", undoes run {plan['undoes']}"}.get(plan["kind"], f", {plan['kind']}")
    read = ""
    if plan["kind"] == "sync":
        read = f", {plan['mode']} read: {counted(plan['entries'], 'entry', 'entries')}"
        read += f", {plan['unchanged']} unchanged"
    return f"run {plan['run']} of {plan['connection'] or plan['enterprise']}{about}{read}"


def print_operation(one: Mapping[str, Any]) -> None:
    """Write one operation: who, what changes, and why it is held if it is."""
    kind = click.style(one["kind"].ljust(7), fg=_COLOURS[one["kind"]])
    place = "" if one["kind"] == "add" else f"  account {one['account']}"
    anchor = f"  [{shown(one['anchor'])}]" if one["anchor"] else ""
    write(f"{one['operation']:>6}  {kind}  {shown(one['who'])}{place}{anchor}")
    print_changes(one["changes"], added=one["kind"] == "add", indent=10)
    if not one["changes"]:
        write(f"{' ' * 10}{_without_changes(one)}")
    for reason in one["reasons"]:
        write(click.style(f"{' ' * 10}! {reason_text(reason)}", fg="red"))
    for warning in one["warnings"]:
        write(click.style(f"{' ' * 10}! {warning_text(warning)}", fg="yellow"))
    if one["state"] == "waiting":
        until = f" until {one['next_try']}" if one["next_try"] else ""
        write(f"{' ' * 10}waits{until}: it is not due yet, or is tried again by itself")


def _without_changes(one: Mapping[str, Any]) -> str:
    effect = one["effect"]
    if effect is None:
        return _ON_LINKS.get(one["link_action"], "nothing of the account changes")
    if effect["effect"] == "change":
        return f"would change on {effect['platform']}: {', '.join(effect['changed']) or 'its state'}"
    return f"would {effect['effect']} {'on' if effect['effect'] == 'appear' else 'from'} {effect['platform']}"


_ON_LINKS = {
    "make": "is linked to this entry; nothing of the account changes",
    "move": "is linked to this entry instead; nothing of the account changes",
    "end": "the entry is gone; others still say the same",
    "drop": "the link is taken away; nothing of the account changes",
    "local": "only what is set by hand changes; the account says the same",
}


def reason_text(reason: Mapping[str, Any]) -> str:
    """Return why an operation is held, on one line."""
    return f"{reason['state']}: {_about(reason)} ({reason['code']})"


def warning_text(warning: Mapping[str, Any]) -> str:
    """Return what a person should know of an operation, on one line."""
    return f"warning: {_about(warning)} ({warning['code']})"


def warned_lines(warned: Sequence[Mapping[str, Any]], rest: str, *, sources: bool = False) -> list[str]:
    """Return what is to be corrected, an entry a line, of their ``sources`` if those are several; ``rest`` shows all."""
    lines = [
        (f"{one['connection']}, " if sources else "")
        + f"entry {shown(one['anchor'])}"
        + (f", account {one['account']}" if one["account"] is not None else "")
        + f": {warning_text(one).removeprefix('warning: ')}"
        for one in warned[:MOST]
    ]
    return [*lines, f"and {len(warned) - MOST} more ({rest})"] if len(warned) > MOST else lines


def _about(fault: Mapping[str, Any]) -> str:
    """Return what a fault says, with the attribute that it is about, unless it begins with that itself."""
    name, message = fault["attribute"], shown(fault["message"])
    return message if name is None or message.startswith((f"{name} ", f"{name}:")) else f"{name}: {message}"


def print_changes(found: Sequence[Mapping[str, Any]], *, added: bool, indent: int) -> None:
    """Write what changes, an attribute a line."""
    width = max((len(one["attribute"]) for one in found), default=0) + 1
    for one in found:
        name = f"{one['attribute']}:".ljust(width)
        old = "" if added else f"{shown(one['before'])} -> "
        write(f"{' ' * indent}{name} {old}{shown(one['after'])}")


def _sums(plan: Mapping[str, Any]) -> Iterator[str]:
    for kind in KINDS:
        states = plan["totals"].get(kind, {})
        if states:
            parts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            yield f"{kind}: {sum(states.values())} ({parts})"
    if not plan["totals"]:
        yield "no operations"
    counts = plan["counts"]
    texts = {
        "kept": ("in the queue already, not asked again", "syncd queue list"),
        "ignored": ("entries that are ignored", "syncd queue list --ignored"),
        "kept_away": KEPT_AWAY,
        "missing": ("not found in this read", ""),
        "unmatched": (UNMATCHED, ""),
        "problems": ("entries that could not be used", f"syncd runs {plan['run']}"),
        "warnings": ("warnings, of values that had to be mended", f"syncd runs {plan['run']}"),
    }
    for name, (text, command) in texts.items():
        if counts.get(name):
            yield f"{text}: {counts[name]}" + (f" ({command})" if command else "")
    refused = {name.removeprefix("refused_"): count for name, count in counts.items() if "refused_" in name}
    if refused:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(refused.items()))
        yield f"not among the operations that the configuration allows: {told}"
    if plan["totals"]:
        yield from map(_effect, plan["platforms"])


def _effect(one: Mapping[str, Any]) -> str:
    change = f", {one['change']} would change" if one["change"] else ""
    return f"platform {one['platform']}: {one['appear']} would appear, {one['vanish']} would vanish{change}"


def _verdict(plan: Mapping[str, Any]) -> list[str]:
    held = [one for one in plan["objections"] if one["scope"] == "run"]
    others = [one for one in plan["objections"] if one["scope"] != "run"]
    lines = []
    if held:
        lines.append(click.style("held:", fg="red", bold=True))
        lines += [f"  {_objection(one)}" for one in held]
    if others:
        lines.append(click.style("detained, while the rest goes on:", fg="red"))
        lines += [f"  {_objection(one)}" for one in others]
    return [*lines, *_how_to_go_on(plan, held=bool(held))]


def _how_to_go_on(plan: Mapping[str, Any], *, held: bool) -> Iterator[str]:
    ready = sum(states.get("planned", 0) for states in plan["totals"].values())
    stopped = sum(
        states.get(state, 0) for states in plan["totals"].values() for state in ("detained", "failed")
    )
    if held and plan["next"]:
        yield f"to apply it all the same: {plan['next']}"
    elif held and plan["state"] == "held":
        yield "nobody can set this aside: mend the cause, then run syncd preview again"
    elif plan["next"] and ready:
        yield f"to apply {'the rest' if stopped else 'it'}: {plan['next']}"
    if stopped:
        yield f"{stopped} for a person to see to: syncd queue list"


def _objection(one: Mapping[str, Any]) -> str:
    by = "" if one["by"] == "syncd" else f" (says {one['by']})"
    return f"{one['code']}: {shown(one['message'])}{by}"
