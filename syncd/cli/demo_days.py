"""The days of ``syncd demo``: what happens, done by the real thing and told as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .demo_company import BOOK, PEOPLE, Person, export, ldif, newcomers
from .failures import HELD, exit_code_of
from .output import heading, shown, table, write

if TYPE_CHECKING:
    from ..pipeline.installation import Installation
    from ..store.runs import Run


@dataclass
class Show:
    """What happens in those days, told as it happens."""

    place: Path
    here: Installation
    now: datetime
    people: list[Person]

    def tell(self) -> None:
        """Tell all of it."""
        self._export(self.people)
        self._chapter(1, "The configuration is checked, and the source is asked.")
        self._check()
        self._chapter(
            2, "The first plan. It changes nothing, and it waits for a person: detain = 'first-run'."
        )
        self._approve(self._preview())
        wedding = self._wedding()
        self._week()
        self._mishap()
        self._recovery()
        self._chapter(
            7, f"What if the wedding was a mistake? Every run can be undone; run {wedding.id} would be:"
        )
        self._undo(wedding)

    def _chapter(self, number: int, text: str) -> None:
        write()
        heading(f"{number}. {text}")

    def _pass(self, **times: float) -> None:
        self.now += timedelta(**times)

    def _export(self, people: list[Person]) -> None:
        export(self.place / PEOPLE, ldif(people))

    def _check(self) -> None:
        from ..pipeline.installation import line_of

        for line in line_of(self.here, "people").source.check():
            write(f"   {shown(line)}")

    def _preview(self) -> Run:
        from ..pipeline.installation import line_of
        from ..pipeline.line import plan_run
        from ..pipeline.policy import settle_policy

        settle_policy(self.here)
        run = plan_run(self.here, line_of(self.here, "people"))
        self._plan(run, most=3)
        return run

    def _plan(self, run: Run, most: int) -> None:
        from .documents import plan_document
        from .plans import print_plan

        write()
        print_plan(self.here, plan_document(self.here, run, most=most))

    def _approve(self, run: Run) -> None:
        from ..pipeline.approving import approve
        from ..pipeline.line import apply_run

        write()
        write(
            "   You have looked at it, and agree. Your approval is for this very plan, and stands in the journal."
        )
        approved = approve(self.here, run.id, why="the first plan of the demo", plan_hash=run.plan_hash)
        self._done(apply_run(self.here, approved))

    def _done(self, run: Run) -> None:
        """Finish a run, deliver it, and tell what became of both."""
        from ..pipeline.delivering import finish
        from .delivering import deliver_all
        from .doing import print_done

        write()
        print_done(self.here, finish(self.here, run))
        deliver_all(self.here, quiet=False)
        lines = len((self.place / BOOK).read_text("utf-8").splitlines()) - 1
        write(f"   {BOOK} has {lines} people in it.")

    def _sync(self) -> Run:
        from ..pipeline.installation import line_of
        from ..pipeline.line import sync
        from ..pipeline.policy import settle_policy

        settle_policy(self.here)
        run = sync(self.here, line_of(self.here, "people"))
        self._done(run)
        return run

    def _operations(self, run: Run) -> None:
        """Show what a run did, or why it did not."""
        from ..store.queue import operations
        from .documents import operation_documents

        documents = operation_documents(self.here, operations(self.here.database, "o.run = ?", (run.id,)))
        write()
        table(
            ("operation", "kind", "who", "state", "what changes, or why it does not"),
            [(one["operation"], one["kind"], one["who"], one["state"], _told(one)) for one in documents],
            empty="nothing is to be done",
        )

    def _wedding(self) -> Run:
        self._pass(hours=2)
        self._chapter(3, "Somebody has married. One entry has changed, and nothing else is even looked at.")
        bride = next(one for one in self.people if one["preferredLanguage"] == "cs" and self._in_book(one))
        name = f"{bride['givenName']} Svobodová"
        bride.update(sn="Svobodová", cn=name, mail=f"{bride['uid'].split('.')[0]}.svobodova@acme.example")
        self._export(self.people)
        run = self._sync()
        self._operations(run)
        return run

    def _in_book(self, one: Person) -> bool:
        return one["employeeType"] == "staff"

    def _week(self) -> None:
        """Let somebody leave and somebody come, let two swap numbers, and let two entries be bad."""
        self._pass(hours=1)
        self._chapter(
            4, "A busy day: one leaver, one newcomer, two who swap their extensions, and two bad entries."
        )
        staff = [one for one in self.people if self._in_book(one)]
        leaver, first, second, bad = staff[-1], staff[10], staff[20], staff[30]
        self.people.remove(leaver)
        first["telephoneNumber"], second["telephoneNumber"] = (
            second["telephoneNumber"],
            first["telephoneNumber"],
        )
        bad["title"] = "Head of\x0bCleaning"
        newcomer, nameless = newcomers()
        self.people += [newcomer, nameless]
        self._export(self.people)
        run = self._sync()
        self._operations(run)
        write()
        write(
            f"   {leaver['cn']} is missing, and waits: only a second complete read, a day later, makes it true."
        )
        write(
            "   The bad entries do not stop the good ones. They wait in the queue until the source is mended."
        )
        bad["title"] = "Head of Cleaning"
        self.people.remove(nameless)

    def _mishap(self) -> None:
        self._pass(hours=26)
        self._chapter(
            5, "The next morning, somebody exports half of the company. The file is whole, and wrong."
        )
        self._export(self.people[: len(self.people) // 2])
        self._sync()
        write(
            f"   'syncd sync' would end with exit code {HELD}. Nobody was removed, and nobody has begun to be missing."
        )
        self._torn()

    def _torn(self) -> None:
        from ..errors import Unavailable
        from ..pipeline.installation import line_of
        from ..pipeline.line import sync

        self._pass(minutes=15)
        write()
        write("   A quarter of an hour later, the disk is full in the middle of an export:")
        text = ldif(self.people)
        export(self.place / PEOPLE, text[: len(text) // 2])
        try:
            sync(self.here, line_of(self.here, "people"))
        except Unavailable as error:
            write(f"   refused: {error}")
            write(
                f"   'syncd sync' would end with exit code {exit_code_of(error)}. Of such a read nothing is used."
            )

    def _recovery(self) -> None:
        self._pass(hours=1)
        self._chapter(
            6, "The good file is back, with the bad entries mended. The leaver's grace is over by now."
        )
        self._export(self.people)
        self._operations(self._sync())
        self._release()

    def _release(self) -> None:
        """Release what the mishap's plan has left in the queue, as a person would."""
        from ..pipeline import queue
        from .documents import operation_documents

        waiting = queue.waiting(self.here)
        if not waiting:
            return
        write()
        write("   The guard that stopped the mishap has put somebody into the queue who really left:")
        for one in operation_documents(self.here, waiting):
            write(f"   {one['operation']} {one['kind']} {shown(one['who'])}: {_told(one)}")
        write("   'syncd queue release' does it, by your word:")
        for run in queue.release(self.here, [one.id for one in waiting], why="has left the company"):
            self._done(run)

    def _undo(self, wedding: Run) -> None:
        from ..pipeline.undoing import plan_undo

        self._pass(hours=1)
        self._plan(plan_undo(self.here, wedding.id, why="to see how it looks"), most=5)
        write()
        write("   It is only planned. A later run of the source takes its place, unless you apply it.")


def _told(one: Mapping[str, Any]) -> str:
    """Return in a few words what an operation changes, or why it is held."""
    if one["reasons"]:
        return "; ".join(reason["message"] for reason in one["reasons"])
    if one["kind"] == "add":
        return f"{len(one['changes'])} attributes"
    told = [f"{change['attribute']}: {shown(change['after'])}" for change in one["changes"]]
    return ", ".join(told[:2]) + (", ..." if len(told) > 2 else "")
