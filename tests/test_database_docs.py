"""docs/database.md says what the database really is, and its questions have answers."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from companies import PHONEBOOK, TWO_SOURCES, Company

from syncd import Unavailable
from syncd.pipeline import people
from syncd.pipeline.approving import approve
from syncd.pipeline.line import apply_run
from syncd.store.database import open_database

PAGE = (Path(__file__).parent.parent / "docs" / "database.md").read_text("utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
QUESTIONS = dict(re.findall(r"^### ([^\n]+)\n\n```sql\n(.+?)```", PAGE, flags=re.MULTILINE | re.DOTALL))


def cells(section):
    """Return the first cell of every row of a section's tables."""
    return re.findall(r"^\| `(\w+)` \|", SECTIONS[section], flags=re.MULTILINE)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    database = open_database(tmp_path_factory.mktemp("schema") / "syncd.db")
    yield database.conn
    database.close()


def tables(conn):
    names = conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [name for (name,) in names if not name.startswith(("sqlite_", "_"))]


def test_every_table_has_a_section_and_every_section_a_table(schema):
    documented = [name.strip("`") for name in SECTIONS if name.startswith("`")]

    assert sorted(tables(schema)) == sorted(documented)


def test_every_column_is_explained_in_the_order_of_the_table(schema):
    for table in tables(schema):
        columns = [row[1] for row in schema.execute(f"PRAGMA table_xinfo({table})")]

        assert columns == cells(f"`{table}`"), table


def test_every_state_is_explained(schema):
    documented = cells("States")
    known = []
    for table in ("runs", "operations", "remotes"):
        sql = schema.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        known += re.findall(r"'(\w+)'", re.search(r"CHECK \(state IN\s+\(([^)]+)\)", sql)[1])

    assert sorted(known) == sorted(documented)


def test_every_trigger_is_explained(schema):
    known = [row[0] for row in schema.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]

    assert sorted(known) == sorted(cells("Triggers"))


def test_words_that_a_column_may_hold_are_all_named(schema):
    """Those of a CHECK: a run's kind and mode, an operation's kind, a decision's verb, a delivery's result."""
    for table in tables(schema):
        sql = schema.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        for column, words in re.findall(r"CHECK \((\w+) IN\s+\(([^)]+)\)", sql):
            if column != "state":
                (row,) = re.findall(rf"^\| `{column}` \| (.+) \|$", SECTIONS[f"`{table}`"], re.MULTILINE)
                missing = [word for word in re.findall(r"'(\w+)'", words) if f"`{word}`" not in row]

                assert [] == missing, (table, column)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Ask all the questions of a company where a lot has happened."""
    folder = tmp_path_factory.mktemp("company")
    text = TWO_SOURCES + PHONEBOOK
    text = text.replace('phone = "telephoneNumber"\n', 'phone = "telephoneNumber"\nextension = "ext"\n')
    company = Company(folder, text)
    company.now = datetime.now(UTC) - timedelta(days=3)
    company.hire("anna", mail="anna@acme.example", telephoneNumber="+49 40 66969-201", ext="201")
    company.hire("ben", telephoneNumber="+49 4066969201")
    company.hire("carl", "dora", "emil")
    company.hire("anna", source="branch", note="of the branch")
    company.sync("hq")
    company.sync("branch")
    company.world().remove("emil")
    company.sync("hq")
    text = text.replace("reads = 1", "reads = 9")
    company.configure(text)
    company.world().remove("dora")
    company.sync("hq")
    people.edit(company.here, company.account("anna"), {"email": "a.berg@acme.example"})
    company.world().change("anna", ext="")
    company.world().change("ben", ext="201", sn="x" * 300)
    company.world().change("carl", ext="201")
    company.system().down = Unavailable("it is being moved")
    company.sync("hq")
    company.configure(text.replace('detain = "never"', 'detain = "always"'))
    company.world().change("carl", sn="Lund")
    run = company.sync("hq")
    apply_run(company.here, approve(company.here, run.id, why="known to all"))
    company.now = datetime.now(UTC)
    company.world("branch").down = Unavailable("the branch is on fire")
    with pytest.raises(Unavailable):
        company.sync("branch")
    reader = sqlite3.connect(f"file:{folder / 'syncd.db'}?mode=ro", uri=True)
    reader.row_factory = sqlite3.Row
    yield {question: reader.execute(query).fetchall() for question, query in QUESTIONS.items()}
    reader.close()
    company.database.close()


def test_there_are_ten_questions():
    assert 10 == len(QUESTIONS)


def test_who_was_removed(answers):
    (row,) = answers["Who was removed in the last seven days, and why?"]

    assert ("emil", "disable", "sync", "hq", "emil", "missing") == tuple(row)[1:7]


def test_what_was_changed_of_an_account(answers):
    rows = answers["What has ever been changed of Anna's account, by whom?"]

    assert [("sync", "hq", "add"), ("sync", "branch", "update"), ("manual", None, "update"),
            ("sync", "hq", "update")] == [(row["run_kind"], row["source"], row["kind"]) for row in rows]  # fmt: skip
    assert {"ada"} == {row["actor"] for row in rows}


def test_what_waits(answers):
    rows = answers["What waits for a person, and what is wrong with it?"]

    assert [("failed", "ben", "last_name")] == [tuple(row)[3:6] for row in rows]
    assert "300 characters" in rows[0]["message"]


def test_what_a_platform_has_not_confirmed(answers):
    rows = answers["Which accounts has a platform not confirmed yet?"]

    assert {"anna", "carl"} == {row["login"] for row in rows}


def test_shared_telephone_numbers(answers):
    rows = answers["Which telephone numbers do several people have?"]

    assert [("+494066969201", 2, "anna, ben")] == [tuple(row) for row in rows]


def test_who_is_missing(answers):
    rows = answers["Who is missing from a source, and still has an account?"]

    assert [("hq", "dora")] == [tuple(row)[:2] for row in rows]


def test_where_a_value_comes_from(answers):
    rows = answers["Where does a value come from?"]

    assert [
        ("template", None), ("hq", "anna@acme.example"), ("branch", None), ("a person", "a.berg@acme.example"),
    ] == [tuple(row) for row in rows]  # fmt: skip


def test_who_set_an_objection_aside(answers):
    rows = answers["Who set a guard's objection aside?"]

    assert [("ada", "known to all", "detain-always")] == [tuple(row)[2:] for row in rows]


def test_whose_extension_it_is(answers):
    rows = answers["Whose is this extension, and who had it before?"]

    assert ["carl", "anna", "anna"] == [row["login"] for row in rows]
    assert ["has it", "gave it up; a platform has yet to confirm"] == [row["now"] for row in rows[:2]]


def test_which_sources_were_not_read(answers):
    rows = answers["Which sources have not been read to the end for a day?"]

    assert ["branch", "hq"] == [row["name"] for row in rows]
    assert "the branch is on fire" == rows[0]["last_error"]
