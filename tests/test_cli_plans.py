"""Preview, sync, apply, undo, retire, queue and explain, as a person sees them."""

import json

import cli_world
import pytest

office = cli_world.office


def lines(text):
    """Return a text written below three quotation marks as it is printed."""
    return text.removeprefix("\n")


@pytest.fixture
def troubled(office):
    """A day later: one person has a bad address, one has left, one comes back under another number."""
    office.begin()
    office.later(days=1)
    office.change(
        n2=("grace", "Grace", "Brewster", "not an address"),
        n3=None,
        n4=("joan", "Joan", "Clarke", "joan@acme.example"),
        n5=("ada", "Ada", "Byron", "byron@acme.example"),
    )
    return office


class TestPreview:
    def test_the_first_plan_of_a_source(self, office):
        assert lines("""
run 1 of hr, full read: 3 entries, 0 unchanged

     1  add      Ada Lovelace (ada)  [1]
          company:    Acme
          email:      ada@acme.example
          first_name: Ada
          last_name:  Lovelace
          login:      ada
          role:       employee

     2  add      Grace Hopper (grace)  [2]
          company:    Acme
          email:      grace@acme.example
          first_name: Grace
          last_name:  Hopper
          login:      grace
          role:       employee

     3  add      Alan Turing (alan)  [3]
          company:    Acme
          email:      alan@acme.example
          first_name: Alan
          last_name:  Turing
          login:      alan
          role:       employee

add: 3 (3 planned)
platform phonebook: 3 would appear, 0 would vanish

held:
  first-run: the first plan of this connection waits for a person
to apply it all the same: syncd apply 1 --plan cd2a7cf4a329

""") == office.out("preview", "hr", code=3)

    def test_changes_faults_and_what_goes_on(self, troubled):
        assert lines("""
run 4 of hr, full read: 4 entries, 1 unchanged

     5  update   Grace Hopper (grace)  account 2  [2]
          email:     grace@acme.example -> not an address
          last_name: Hopper -> Brewster
          ! failed: email is not an e-mail address: it needs exactly one @ (invalid)

     6  add      Joan Clarke (joan)  [4]
          company:    Acme
          email:      joan@acme.example
          first_name: Joan
          last_name:  Clarke
          login:      joan
          role:       employee

     7  update   Ada Lovelace (ada)  account 1  [5]
          email:     ada@acme.example -> byron@acme.example
          last_name: Lovelace -> Byron
          ! detained: 5 matches account 1, which is linked to 1, and that entry is still there (ambiguous)

     8  disable  Alan Turing (alan)  account 3  [3]
          disabled_by: - -> missing

add: 1 (1 planned)
update: 2 (1 detained, 1 failed)
disable: 1 (1 planned)
not found in this read: 1
platform phonebook: 1 would appear, 1 would vanish

to apply the rest: syncd apply 4
2 for a person to see to: syncd queue list

""") == troubled.out("preview", "hr")

    def test_a_plan_without_operations_says_so(self, office):
        office.begin()

        assert lines("""
run 4 of hr, full read: 3 entries, 3 unchanged

no operations

""") == office.out("preview", "hr")

    def test_the_first_fifty_are_shown_unless_all_are_asked_for(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(60)}
        office.write()
        some, every = office.out("preview", "hr", code=3), office.out("preview", "hr", "--all", code=3)

        assert 50 == some.count("  add ")
        assert "50 of 60 operations are shown; --all shows the rest" in some
        assert 60 == every.count("  add ")
        assert 60 == len(office.json("preview", "hr", code=3)["runs"][0]["operations"])

    def test_one_kind_can_be_asked_for(self, troubled):
        shown = troubled.out("preview", "hr", "--kind", "disable")

        assert "disable  Alan Turing" in shown
        assert "add      " not in shown
        assert "add: 1 (1 planned)" in shown

    def test_nothing_changes_and_the_same_plan_is_the_same_run(self, office):
        first, second = (office.json("preview", "hr", code=3)["runs"][0] for _ in range(2))

        assert (1, first["plan_hash"]) == (second["run"], second["plan_hash"])
        assert [] == office.json("accounts")["accounts"]

    def test_all_sources_in_the_order_of_their_precedence_if_none_is_named(self, office):
        document = office.json("preview", code=3)

        assert ["hr", "directory"] == [run["connection"] for run in document["runs"]]

    def test_what_the_configuration_changes_is_a_run_of_its_own(self, office):
        office.begin()
        office.set('columns = ["login", "email", "phone"]', 'columns = ["login", "email"]')

        assert lines("""
run 4 of acme, policy
why: what the configuration says of phonebook is new

     5  update   Ada Lovelace (ada)  account 1
          would change on phonebook: phone

update: 1 (1 planned)
platform phonebook: 0 would appear, 0 would vanish, 1 would change

to apply it: syncd apply 4
""") in office.out("preview", "hr")

    def test_what_would_move_the_cursor_or_hide_text_is_escaped(self, office):
        office.people = {"1": ("ada", "A\u202eda\x85", "Love\tlace", "")}
        office.write()
        shown = office.out("preview", "hr", code=3)

        assert "first_name: A\\u202eda\\x85\n" in shown
        assert "last_name:  Love\\tlace\n" in shown

    def test_a_proposal_that_failed_is_told_with_its_cause(self, office):
        office.people = {"1": ("ada", "\x1b[31mAda", "Lovelace", "")}
        office.write()
        shown = office.out("preview", "hr")

        assert "! failed: first_name: " in shown
        assert "U+001B" in shown
        assert shown.endswith("1 for a person to see to: syncd queue list\n\n")


class TestDocument:
    RUN = frozenset({
        "run", "kind", "connection", "enterprise", "mode", "state", "actor", "why", "started_at", "planned_at",
        "ended_at", "plan_hash", "entries", "unchanged", "counts", "platforms", "objections", "approved", "undoes",
        "same_as", "error", "next",
    })  # fmt: skip
    OPERATION = frozenset({
        "operation", "run", "connection", "enterprise", "kind", "state", "anchor", "account", "account_kind", "who",
        "link_action", "changes", "effect", "reasons", "warnings", "attempts", "next_try", "origin", "undoes", "undone_by",
        "changed_at",
    })  # fmt: skip

    def test_keys_of_runs_and_operations_are_stable(self, office):
        (plan,) = office.json("preview", "hr", code=3)["runs"]

        assert self.RUN | {"totals", "operations"} == set(plan)
        assert self.OPERATION == set(plan["operations"][0])
        assert self.RUN == set(office.json("runs")["runs"][0])
        assert self.RUN | {"operations", "queue", "problems", "warnings", "extensions_changed"} == set(
            office.json("runs", "1")
        )
        assert self.OPERATION | {"since"} == set(office.json("queue")["operations"][0])

    def test_times_are_iso_and_utc(self, office):
        (plan,) = office.json("preview", "hr", code=3)["runs"]

        assert "2026-01-05T08:00:00Z" == plan["started_at"]

    def test_objections_and_the_next_command_are_there(self, office):
        (plan,) = office.json("preview", "hr", code=3)["runs"]

        assert ["first-run"] == [one["code"] for one in plan["objections"]]
        assert f"syncd apply 1 --plan {plan['plan_hash'][:12]}" == plan["next"]
        assert {"add": {"planned": 3}} == plan["totals"]
        assert [{"platform": "phonebook", "appear": 3, "vanish": 0, "change": 0}] == plan["platforms"]


class TestApply:
    def test_it_does_what_was_shown_and_delivers_it(self, office):
        office.out("preview", "hr", code=3)

        assert lines("""
hr: run 1 is done: 3 entries, 0 unchanged, 3 applied
platform phonebook: 3 confirmed
""") == office.out("apply", "1", "--yes", "--why", "looks right")
        assert '"1","ada","ada@acme.example"' in (office.folder / "phonebook.csv").read_text("utf-8")
        assert {"who": "kim", "why": "looks right", "overrides": ["first-run"]}.items() <= office.json(
            "runs", "1"
        )["approved"].items()

    def test_another_plan_than_the_one_seen_is_refused(self, office):
        office.out("preview", "hr", code=3)
        result = office.run("apply", "1", "--yes", "--plan", "beef")

        assert 64 == result.exit_code
        assert "does not begin with beef" in result.stderr
        assert [] == office.json("accounts")["accounts"]

    def test_a_plan_that_was_overtaken_is_refused_and_the_open_one_named(self, office):
        office.out("preview", "hr", code=3)
        office.change(n3=None)
        office.out("preview", "hr", code=3)
        result = office.run("apply", "1", "--yes")

        assert 0 != result.exit_code
        assert "the open run is 2" in result.stderr

    @pytest.mark.parametrize(("verb", "code"), [("apply", 3), ("sync", 0)])
    def test_a_plan_of_which_all_waits_for_a_person_ends_with_3_if_a_person_asked_for_it(
        self, office, verb, code
    ):
        office.begin()
        office.change(n5=("ada", "Ada", "Byron", "byron@acme.example"))
        if verb == "apply":
            (plan,) = office.json("preview", "hr")["runs"]
            shown = office.out("apply", str(plan["run"]), "--yes", code=code)
        else:
            shown = office.out("sync", "hr", code=code)

        assert "0 applied, 1 detained" in shown

    def test_what_nobody_objects_to_is_not_asked_about(self, troubled):
        troubled.out("preview", "hr")

        assert "hr: run 4 is done" in troubled.out("apply", "4")


class TestSync:
    def test_it_says_what_was_done_what_waits_and_what_was_delivered(self, troubled):
        assert lines("""
hr: run 4 is done: 4 entries, 1 unchanged, 2 applied, 1 detained, 1 failed
  2 in the queue for a person: syncd queue list
directory: run 5 is done: 1 entry, 1 unchanged, 0 applied
platform phonebook: 2 confirmed
""") == troubled.out("sync")

    def test_what_decisions_keep_away_is_told_by_preview_and_by_sync(self, troubled):
        troubled.out("sync", "hr")
        troubled.out("queue", "discard", "7", "--why", "two people")
        troubled.out("queue", "ignore", "hr", "2")
        told = "undone or discarded, not asked again: 1 (syncd queue list --kept-away)\n"
        shown, done = troubled.out("preview", "hr"), troubled.out("sync", "hr")

        assert f"\nno operations\nentries that are ignored: 1 (syncd queue list --ignored)\n{told}" in shown
        assert f"0 applied\n  {told}" in done
        assert [(1, 1)] == [
            (run["counts"]["kept_away"], run["counts"]["ignored"])
            for run in troubled.json("sync", "hr")["runs"]
        ]

    def test_a_held_plan_names_the_command_that_goes_on(self, office):
        shown = office.out("sync", "hr", code=3)

        assert shown.startswith(
            "hr: run 1 is held: 3 entries, 0 unchanged, 3 to add, 0 to update, 0 to remove\n"
        )
        assert "  first-run: the first plan of this connection waits for a person\n" in shown
        assert "  to apply it all the same: syncd apply 1 --plan cd2a7cf4a329\n" in shown

    def test_too_many_leavers_are_detained_and_newcomers_do_not_wait_for_them(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(60)}
        office.write()
        office.begin()
        office.later(days=1)
        office.change(**{f"n{number}": None for number in range(1, 6)}, n99=("joan", "Joan", "Clarke", ""))
        shown = office.out("sync", "hr")

        assert "1 applied, 5 detained" in shown
        assert "  too-many-removals: 5 of 60 accounts would be removed, and at most 3 may be\n" in shown
        assert "  5 in the queue for a person: syncd queue list\n" in shown

    def test_entries_that_cannot_be_used_are_counted_and_the_command_that_shows_them_is_named(self, office):
        office.set("stable_for = 0\nmatch", "stable_for = 0\npartial = true\nmatch")
        with (office.folder / "hr.csv").open("a", encoding="utf-8") as file:
            file.write("7,short\n")
        shown = office.out("preview", "hr", code=3)

        assert "entries that could not be used: 1 (syncd runs 1)" in shown
        assert "bad-row" in office.out("runs", "1")

    def test_the_document_has_runs_and_deliveries(self, office):
        office.begin()
        document = office.json("sync")

        assert ["ended", "ended"] == [run["state"] for run in document["runs"]]
        assert {
            "platform", "confirmed", "unchanged", "failed", "waiting", "held", "failed_before", "stopped", "until", "message", "exit_code",
        } == set(document["deliveries"][0])  # fmt: skip


class TestUndo:
    def test_it_shows_the_plan_and_does_it_once_that_is_agreed_to(self, troubled):
        troubled.out("sync", "hr")
        shown = troubled.out("undo", "4", "--yes")

        assert "run 5 of hr, undoes run 4" in shown
        assert "enable   Alan Turing (alan)  account 3  [3]" in shown
        assert "hr: run 5 (undo) is done: 2 applied" in shown
        assert [] == troubled.json("accounts", "--disabled")["accounts"]

    def test_a_run_that_was_the_same_plan_as_another_points_to_that(self, office):
        office.out("preview", "hr", code=3)
        office.out("preview", "hr", code=3)
        office.out("apply", "1", "--yes")
        refused = office.run("undo", "2")

        assert 64 == refused.exit_code
        assert "its plan was that of run 1; to undo that: syncd undo 1" in refused.stderr

    def test_what_an_undone_addition_keeps_is_not_told_as_lost(self, office):
        """The account is deleted, and says what it said: that only has to be as it was."""
        office.begin()

        (plan,) = office.json("undo", "1", "--preview")["runs"]

        assert [[{"attribute": "deleted", "before": None, "after": True}]] * 3 == [
            one["changes"] for one in plan["operations"]
        ]

    def test_it_can_be_planned_only(self, troubled):
        troubled.out("sync", "hr")
        document = troubled.json("undo", "4", "--preview")

        assert ("undo", 4, "planned") == tuple(
            document["runs"][0][key] for key in ("kind", "undoes", "state")
        )
        assert 1 == len(troubled.json("accounts", "--disabled")["accounts"])

    def test_without_an_answer_it_stays_planned(self, troubled):
        troubled.out("sync", "hr")

        assert 64 == troubled.run("undo", "4").exit_code
        assert "planned" == troubled.json("runs", "5")["state"]


class TestRetire:
    def test_it_plans_what_becomes_of_the_accounts_and_does_it(self, office):
        office.begin()
        office.without("directory")
        shown = office.out("retire", "directory", "--yes", "--why", "no longer kept")

        assert "run 4 of directory, retire" in shown
        assert "phone: +49 40 111 -> -" in shown
        assert "directory: run 4 (retire) is done: 1 applied" in shown
        assert "why: no longer kept" in shown

    def test_one_that_is_configured_is_refused_and_the_place_named(self, office):
        office.begin()
        result = office.run("retire", "directory", "--preview")

        assert 64 == result.exit_code
        assert f"source directory is still configured ({office.config}:" in result.stderr
        assert "take [source.directory] out of the configuration" in result.stderr
        assert 3 == len(office.json("runs")["runs"])

    def test_a_source_that_never_was_is_refused(self, office):
        office.begin()
        result = office.run("retire", "nowhere", "--yes")

        assert 0 != result.exit_code
        assert "there is no connection 'nowhere'" in result.stderr


class TestRuns:
    def test_the_latest_first(self, troubled):
        troubled.out("sync", "hr")

        assert lines("""
RUN  KIND  CONNECTION  STATE  ENTRIES  PLAN      BY   STARTED
4    sync  hr          ended  4        +1 ~0 -1  kim  2026-01-06 09:00
3    sync  directory   ended  1        +0 ~1 -0  kim  2026-01-05 09:00
2    sync  hr          ended  3        +0 ~0 -0  kim  2026-01-05 09:00
1    sync  hr          ended  3        +3 ~0 -0  kim  2026-01-05 09:00
""") == troubled.out("runs")

    def test_they_can_be_filtered(self, office):
        office.begin()

        assert [3] == [run["run"] for run in office.json("runs", "--connection", "directory")["runs"]]
        assert [3] == [run["run"] for run in office.json("runs", "--limit", "1")["runs"]]
        assert [3, 2, 1] == [run["run"] for run in office.json("runs", "--all")["runs"]]
        assert [] == office.json("runs", "--state", "held")["runs"]

    def test_one_in_detail(self, office):
        office.out("preview", "hr", code=3)
        office.out("apply", "1", "--yes", "--why", "looks right")

        assert (
            lines("""
run 1
  kind        sync
  connection  hr
  enterprise  acme
  mode        full
  state       ended
  by          kim
  why         -
  started     2026-01-05 09:00
  planned     2026-01-05 09:00
  ended       2026-01-05 09:00
""")
            == office.out("runs", "1").partition("  plan  ")[0]
        )
        assert "  add, applied: 3\n" in office.out("runs", "1")
        assert "  why        looks right\n" in office.out("runs", "1")


class TestQueue:
    @pytest.fixture
    def queue(self, troubled):
        troubled.out("sync", "hr")
        troubled.later(hours=3)
        return troubled

    def test_everything_that_waits(self, queue):
        assert lines("""
ID  AGE    CONNECTION  KIND    WHO                   STATE     REASON
5   3h 0m  hr          update  Grace Hopper (grace)  failed    email is not an e-mail address: it needs exactly one @
7   3h 0m  hr          update  Ada Lovelace (ada)    detained  5 matches account 1, which is linked to 1, and that entry is still there
""") == queue.out("queue")
        assert queue.out("queue") == queue.out("queue", "list")
        assert [5] == [one["operation"] for one in queue.json("queue", "--state", "failed")["operations"]]
        assert [] == queue.json("queue", "list", "--connection", "directory")["operations"]

    def test_there_is_no_upper_bound(self, office):
        office.people = {str(number): (f"p{number}", "P", f"N{number}", "") for number in range(1500)}
        office.write()
        office.out("preview", "hr", code=3)

        assert 1501 == len(office.out("queue").splitlines())
        assert 1500 == len(office.json("queue", "--state", "held")["operations"])

    def test_one_in_every_detail(self, queue):
        assert lines("""
operation 5
  who            Grace Hopper (grace)
  account        2 (user, enterprise acme)
  kind           update
  state          failed
  connection     hr
  entry          2
  link           keep, owner
  enabled there  yes
  run            4
  since          2026-01-06 09:00
reasons
  failed: email is not an e-mail address: it needs exactly one @ (invalid)
changes
  email:     grace@acme.example -> not an address
  last_name: Hopper -> Brewster
what the source says
  email       not an address
  first_name  Grace
  last_name   Brewster
  login       grace
""") == queue.out("queue", "show", "5")

    def test_a_proposal_can_be_corrected_and_then_released(self, queue):
        shown = queue.out("queue", "edit", "5", "email=brewster@acme.example")
        number = queue.json("queue", "--state", "detained")["operations"][-1]["operation"]

        assert f"to have it done: syncd queue release {number}\n" in shown
        assert "hr: run 6 (release) is done: 1 applied" in queue.out("queue", "release", str(number), "--yes")
        assert "brewster@acme.example" == queue.json("accounts", "show", "grace")["attributes"]["email"]

    def test_a_value_can_be_taken_away(self, queue):
        (one,) = queue.json("queue", "edit", "5", "email=")["operations"]

        assert "detained" == one["state"]
        assert {"attribute": "email", "before": "grace@acme.example", "after": None} in one["changes"]

    def test_what_failed_cannot_be_released_as_it_is(self, queue):
        result = queue.run("queue", "release", "5", "--yes")

        assert 0 != result.exit_code
        assert "syncd queue edit 5" in result.stderr

    def test_all_that_is_detained_can_be_released_and_is_named_before(self, queue):
        result = queue.run("queue", "release", "--all", "--connection", "hr")

        assert 64 == result.exit_code
        assert "  7  update  Ada Lovelace (ada): 5 matches account 1" in result.stderr
        assert "Do 1 operation now?" in result.stderr
        assert "1 applied" in queue.out("queue", "release", "--all", "--connection", "hr", "--yes")
        assert "nothing is detained" in queue.run("queue", "release", "--all", "--yes").stderr

    @pytest.mark.parametrize("words", [(), ("7", "--all"), ("7", "--connection", "hr")], ids=str)
    def test_release_wants_numbers_or_all(self, queue, words):
        assert 64 == queue.run("queue", "release", *words, "--yes").exit_code

    def test_a_discarded_proposal_is_not_asked_again(self, queue):
        assert "1 operation discarded\n" == queue.out("queue", "discard", "7", "--why", "two people")
        queue.out("sync", "hr")

        assert [5] == [one["operation"] for one in queue.json("queue")["operations"]]
        assert "discard by kim, 2026-01-06 12:00: two people" in queue.out("queue", "show", "7")

    def test_what_is_kept_away_is_listed_until_that_is_ended(self, queue):
        queue.out("queue", "discard", "7", "--why", "two people")
        queue.out("undo", "4", "--yes")

        assert lines("""
CONNECTION  ENTRY  DECISION  OPERATION  BY   SINCE             WHY
hr          4      undo      6          kim  2026-01-06 12:00  -
hr          3      undo      8          kim  2026-01-06 12:00  -
hr          5      discard   7          kim  2026-01-06 12:00  two people
""") == queue.out("queue", "--kept-away")
        assert [] == queue.json("queue", "list", "--kept-away", "--connection", "directory")["kept_away"]
        queue.out("queue", "unignore", "hr", "5")
        assert ["4", "3"] == [one["anchor"] for one in queue.json("queue", "--kept-away")["kept_away"]]
        assert "no entry is ignored\n" == queue.run("queue", "--ignored").stderr

    def test_an_ignored_entry_is_left_alone_until_that_is_ended(self, queue):
        assert {"discarded": 1} == queue.json("queue", "ignore", "hr", "5", "--why", "a double")
        assert [("hr", "5", "a double")] == [
            (one["connection"], one["anchor"], one["why"])
            for one in queue.json("queue", "--ignored")["ignored"]
        ]
        assert "ignored" not in queue.out("queue", "list", "--ignored").replace("IGNORED", "")
        assert "1 decision ended\n" == queue.out("queue", "unignore", "hr", "5")
        queue.out("sync", "hr")
        assert ["2", "5"] == [one["anchor"] for one in queue.json("queue")["operations"]]

    def test_a_proposal_can_be_judged_again_by_new_rules(self, queue):
        queue.set('email = { also = ["e-mail"] }', "email = { required = true }")
        (one,) = queue.json("queue", "retry", "5")["operations"]

        assert ("detained", "edited") == (one["state"], one["reasons"][0]["code"])


class TestExplain:
    def test_every_layer_of_every_attribute_and_who_won(self, office):
        office.begin()
        office.later(days=1)
        office.out("accounts", "edit", "ada", "phone=+49 40 999")

        assert lines("""
account 1: Ada Lovelace (ada), active
  company: Acme   (operation 1 of run 1, 2026-01-05 09:00)
    * template: Acme
  email: ada@acme.example   (operation 1 of run 1, 2026-01-05 09:00)
      directory: countess@acme.example   <- mail
    * hr: ada@acme.example   <- from = "mail", via = ["lower"]
  first_name: Ada   (operation 1 of run 1, 2026-01-05 09:00)
    * hr: Ada   <- first
  last_name: Lovelace   (operation 1 of run 1, 2026-01-05 09:00)
    * hr: Lovelace   <- last
  login: ada   (operation 1 of run 1, 2026-01-05 09:00)
      directory: ada   <- uid
    * hr: ada   <- login
  phone: +49 40 999   (operation 5 of run 4, 2026-01-06 09:00)
      directory: +49 40 111   <- telephoneNumber
    * a person: +49 40 999
  role: employee   (operation 1 of run 1, 2026-01-05 09:00)
    * template: employee
linked to directory
  (entry)             u-1
  (owns the account)  no
linked to hr
  (entry)             1
  (owns the account)  yes
platforms
  phonebook: done, as 1
""") == office.out("explain", "ada")

    def test_one_attribute(self, office):
        office.begin()

        assert lines("""
account 1: Ada Lovelace (ada), active
  email: ada@acme.example   (operation 1 of run 1, 2026-01-05 09:00)
      directory: countess@acme.example   <- mail
    * hr: ada@acme.example   <- from = "mail", via = ["lower"]
""") == office.out("explain", "ada", "email")
        assert 64 == office.run("explain", "ada", "pager").exit_code

    def test_what_waits_and_what_was_decided(self, troubled):
        troubled.out("sync", "hr")
        shown = troubled.out("explain", "grace")
        document = troubled.json("explain", "2")

        assert "\nwaits\n     5  update   Grace Hopper (grace)  account 2  [2]\n" in shown
        assert [5] == [one["operation"] for one in document["open"]]
        assert ["hr"] == [one["connection"] for one in document["links"]]
        assert json.dumps(document)

    def test_somebody_who_is_missing(self, troubled):
        troubled.out("sync", "hr")
        shown = troubled.out("explain", "alan")

        assert shown.startswith("account 3: Alan Turing (alan), disabled (missing)\n")
        assert "  (gone since)        2026-01-06 09:00\n" in shown


def test_who_is_only_in_a_source_that_makes_nobody_is_told(office):
    office.begin()
    stranger = "dn: uid=eve,dc=acme\nentryUUID: u-9\nuid: eve\nmail: eve@acme.example\n"
    with (office.folder / "directory.ldif").open("a") as file:
        file.write(f"\n{stranger}")

    told = "entries whose keys no account has, and this source makes none: 1\n"
    assert told in office.out("preview", "directory")
    assert told in office.out("sync", "directory")
    (run,) = office.json("sync", "directory")["runs"]
    assert 1 == run["counts"]["unmatched"]
