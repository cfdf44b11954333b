"""The verbs that read sources: ``preview`` and ``sync``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ..errors import SyncdError
from .completing import enterprise_names, source_names
from .documents import KINDS
from .failures import HAS_OPERATIONS, exit_code_of, report, worst
from .options import all_option, examples, json_option
from .output import write, write_json
from .plans import MOST
from .progress import progress
from .session import Session, session_of

if TYPE_CHECKING:
    from ..pipeline.installation import Installation, Line
    from ..pipeline.line import Beat
    from ..store.runs import Run

full_option = click.option(
    "--full", is_flag=True, help="Read everything, even if the source could say what has changed."
)

enterprise_option = click.option(
    "--enterprise",
    metavar="NAME",
    shell_complete=enterprise_names,
    help="All sources of this enterprise, in its order.",
)


@click.command(
    epilog=examples(
        "syncd preview hq",
        "syncd preview hq --kind delete --all    every deletion of the plan",
        "syncd preview --json                    every source, for machines",
        "syncd preview hq --detailed-exitcode    ends with 2 if there is something to do",
    )
)
@click.argument("sources", nargs=-1, shell_complete=source_names)
@enterprise_option
@full_option
@all_option(f"Show all operations, not the first {MOST}.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Show only this kind.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="End with 2 if a plan has operations (3 if one is held)."
)
@json_option
@click.pass_context
def preview(
    ctx: click.Context,
    /,
    *,
    sources: tuple[str, ...],
    enterprise: str | None,
    full: bool,
    everything: bool,
    kinds: tuple[str, ...],
    detailed_exitcode: bool,
    as_json: bool,
) -> None:
    """Read SOURCES (all if none is named) and show what would be done.

    The plan is stored, and "syncd apply" does exactly what was shown. No account and no platform is
    changed. What the configuration has changed for platforms is shown first, as a run of its own. Ends
    with 3 if a guard holds a plan.
    """
    from ..pipeline.line import plan_run
    from ..pipeline.policy import plan_policy
    from ..pipeline.retiring import frozen
    from .documents import plan_document
    from .doing import exit_code
    from .plans import print_plan
    from .status import print_frozen

    session = session_of(ctx)
    here = session.writing("preview")
    names = named(session, sources, enterprise)
    most = None if everything or as_json else MOST
    codes, documents = [0], []

    def plan(line: Line, beat: Beat | None) -> Run:
        return plan_run(here, line, full=full, beat=beat)

    for run, failed in _each(here, plan_policy(here), names, plan, codes, quiet=as_json):
        if run is None:
            documents.append(failed)
            continue
        document = plan_document(here, run, kinds=kinds, most=most)
        documents.append(document)
        codes.append(exit_code(run))
        codes.append(HAS_OPERATIONS if detailed_exitcode and document["totals"] else 0)
        if not as_json:
            print_plan(here, document)
            write()
    if as_json:
        write_json({"runs": documents, "frozen": [one._asdict() for one in frozen(here)]})
    else:
        print_frozen(here)
    ctx.exit(worst(codes))


def named(session: Session, sources: tuple[str, ...], enterprise: str | None) -> tuple[str, ...]:
    """Return the sources to read: those named, each once, or all in the order of their enterprises."""
    configured = session.settings.sources
    if enterprise is not None:
        return _of_enterprise(session, sources, enterprise)
    unknown = [name for name in sources if name not in configured]
    if unknown:
        known = ", ".join(sorted(configured)) or "none"
        raise SyncdError(
            f"there is no source {', '.join(unknown)} in the configuration; configured are: {known}"
        )
    if sources:
        return tuple(dict.fromkeys(sources))
    every = sorted(configured.values(), key=lambda one: (one.enterprise, one.precedence))
    if not every:
        raise SyncdError("no source is configured")
    return tuple(one.name for one in every)


def _of_enterprise(session: Session, sources: tuple[str, ...], name: str) -> tuple[str, ...]:
    enterprises = session.settings.enterprises
    if sources:
        raise click.UsageError("name sources, or an enterprise with all of its sources; not both")
    if name not in enterprises:
        known = ", ".join(sorted(enterprises)) or "none"
        raise SyncdError(f"there is no enterprise {name!r} in the configuration; configured are: {known}")
    if not enterprises[name].sources:
        raise SyncdError(f"the enterprise {name} has no source; its accounts are made by hand")
    return enterprises[name].sources


def _each(
    here: Installation,
    first: list[Run],
    names: tuple[str, ...],
    work: Callable[[Line, Beat | None], Run],
    codes: list[int],
    *,
    quiet: bool,
) -> Iterator[tuple[Run | None, dict[str, Any]]]:
    """Yield runs that are there already, then that of each source; one that fails does not stop the rest.

    A failure is told at once, its exit code goes to ``codes``, and what is yielded is its document.
    """
    from ..pipeline.installation import line_of

    yield from ((run, {}) for run in first)
    for name in names:
        try:
            with progress(here, name, quiet=quiet) as beat:
                run = work(line_of(here, name), beat)
        except (SyncdError, OSError) as error:
            report(error, about=name)
            codes.append(exit_code_of(error))
            yield None, {"connection": name, "state": "failed", "error": redacted(error)}
        else:
            yield run, {}


def redacted(error: Exception) -> str:
    """Return the text of an error as it may be shown."""
    from ..logs import redact

    return redact(str(error))


@click.command(
    epilog=examples(
        "syncd sync                 every source, then the platforms",
        "syncd sync hq branch",
        "syncd sync --enterprise acme",
        "syncd sync hq --full       read everything anew",
    )
)
@click.argument("sources", nargs=-1, shell_complete=source_names)
@enterprise_option
@full_option
@json_option
@click.pass_context
def sync(
    ctx: click.Context, /, *, sources: tuple[str, ...], enterprise: str | None, full: bool, as_json: bool
) -> None:
    """Read SOURCES (all if none is named), do what nothing objects to, and deliver it to the platforms.

    One source that fails does not stop the others. Ends with 3 if a guard holds a plan, else with the
    highest code of what failed.
    """
    from ..pipeline.delivering import finish
    from ..pipeline.line import sync as sync_line
    from ..pipeline.policy import settle_policy
    from .delivering import deliver_all
    from .documents import run_document
    from .doing import exit_code, print_done

    session = session_of(ctx)
    here = session.writing("sync")
    names = named(session, sources, enterprise)
    codes, documents = [0], []

    def work(line: Line, beat: Beat | None) -> Run:
        return finish(here, sync_line(here, line, full=full, beat=beat))

    for run, failed in _each(here, settle_policy(here), names, work, codes, quiet=as_json):
        documents.append(failed if run is None else run_document(here, run))
        if run is not None:
            codes.append(exit_code(run))
            if not as_json:
                print_done(here, run)
    reports = deliver_all(here, quiet=as_json)
    codes += [one["exit_code"] for one in reports]
    if as_json:
        write_json({"runs": documents, "deliveries": reports})
    ctx.exit(worst(codes))
