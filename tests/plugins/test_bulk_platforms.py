"""The platforms ``csv`` and ``ldif``."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import itertools
import os
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from syncd import Account, Context, Delivery, Denied, Entry, Gone, Rejected, Unavailable
from syncd.testing import context
from syncd_bulk.csvplatform import CsvPlatform, guarded
from syncd_bulk.csvsource import CsvSource
from syncd_bulk.ldif import LdifFile
from syncd_bulk.ldifplatform import LdifPlatform
from syncd_bulk.ldifsource import LdifSource

CONTEXT = Context("export", SimpleNamespace(), str)
FIELDS = ("uid", "cn", "sn", "mail")
NAME = "uid={uid},ou=people,dc=x"


def csv_platform(folder, **options):
    settings = {"path": str(folder / "out.csv"), "columns": list(FIELDS), **options}
    platform = CsvPlatform(CsvPlatform.Options(**settings), CONTEXT)
    platform.open()
    return platform


def ldif_platform(folder, **options):
    settings = {"path": str(folder / "out.ldif"), "dn": NAME, "attributes": list(FIELDS), **options}
    platform = LdifPlatform(LdifPlatform.Options(**settings), CONTEXT)
    platform.open()
    return platform


def change_platform(folder, **options):
    (folder / "changes").mkdir(exist_ok=True)
    return ldif_platform(folder, path=str(folder / "changes"), style="changes", **options)


def keyed_platform(folder, **options):
    """Return a CSV platform that knows somebody by the login, as an LDIF platform does by the name."""
    columns = {name: {"attribute": name, "key": name == "uid"} for name in FIELDS}
    return csv_platform(folder, columns=columns, **options)


SWITCH = {"name": "active", "on": "1", "off": "0"}
MAKERS = {
    "csv": csv_platform,
    "csv without columns of its own": lambda folder: csv_platform(folder, key=False, enabled=False),
    "csv with a login": keyed_platform,
    "raw csv": lambda folder: csv_platform(folder, raw=True, bom=True, delimiter=";"),
    "ldif": ldif_platform,
    "ldif with an attribute": lambda folder: ldif_platform(folder, enabled=SWITCH),
    "changes": change_platform,
    "changes with an attribute": lambda folder: change_platform(folder, enabled=SWITCH, rename="replace"),
}


@pytest.fixture(params=list(MAKERS))
def make(request, tmp_path):
    """Make the platform anew, as the next run does: what is known is in the file."""
    return lambda: MAKERS[request.param](tmp_path)


def account(key="1", enabled=True, **fields):
    given = {"uid": f"u{key}", "cn": "Ada", "sn": "Lovelace", "mail": "a@x", **fields}
    return Account(key, "user", enabled, {name: value for name, value in given.items() if value is not None})


def deliver(platform, *deliveries):
    made = [Delivery(place, *given) for place, given in enumerate(deliveries)]
    return [
        (outcome.id, outcome.remote_id, type(outcome.error).__name__) for outcome in platform.deliver(made)
    ]


def add(one):
    return ("add", 1, None, one)


def listed(platform):
    return dict(platform.list())


def test_an_added_account_is_found_by_the_next_run(make):
    one = account()

    assert "1" == make().add(one)

    assert "1" == make().find(one)
    assert None is make().find(account("2"))
    assert {"1": make().fingerprint(one)} == listed(make())


def test_adding_twice_is_harmless_and_takes_over(make):
    platform = make()
    platform.add(account())
    platform.add(account(cn="Augusta"))

    assert {"1": platform.fingerprint(account(cn="Augusta"))} == listed(make())


KEYED = {
    "csv": keyed_platform,
    "csv without columns of its own": lambda folder: keyed_platform(folder, key=False, enabled=False),
    "ldif": ldif_platform,
    "changes": change_platform,
}


@pytest.fixture(params=list(KEYED))
def keyed(request, tmp_path):
    """Make a platform that knows its rows by a login as well, anew."""
    return lambda: KEYED[request.param](tmp_path)


def test_a_row_that_an_account_of_a_lost_database_left_is_taken_over_by_the_login(keyed):
    """The number in the row is what the importing system knows: it stays."""
    platform = keyed()
    platform.add(account("1"))
    platform.add(account("2"))
    again = account("9", uid="u2", cn="Augusta")

    assert "2" == keyed().find(again)
    assert [(0, "2", "NoneType")] == deliver(keyed(), add(again))
    assert {"1": platform.fingerprint(account("1")), "2": platform.fingerprint(again)} == listed(keyed())
    keyed().update("2", account("9", uid="u9"), frozenset({"uid", "cn"}))
    assert None is keyed().find(again)
    keyed().delete("2")
    assert ["1"] == list(listed(keyed()))


def test_a_login_that_goes_to_another_account_in_the_same_batch_takes_no_row_over(keyed):
    platform = keyed()
    platform.add(account("1"))
    renamed = account("1", uid="new")

    outcomes = deliver(keyed(), ("update", 2, "1", renamed, frozenset({"uid"})), add(account("2", uid="u1")))

    assert [(0, "1", "NoneType"), (1, "2", "NoneType")] == outcomes
    assert {
        "1": platform.fingerprint(renamed), "2": platform.fingerprint(account("2", uid="u1"))
    } == listed(keyed())  # fmt: skip


def test_a_csv_file_without_a_key_column_takes_nothing_over(tmp_path):
    csv_platform(tmp_path).add(account("1"))
    csv_platform(tmp_path).add(account("2", uid="u1"))

    assert ["1", "2"] == list(listed(csv_platform(tmp_path)))


def test_an_update_is_seen_and_leaves_the_others_alone(make):
    platform = make()
    platform.add(account("1"))
    platform.add(account("2"))
    platform.update("1", account("1", sn="King", mail=None), frozenset({"sn", "mail"}))

    expected = {
        "1": platform.fingerprint(account("1", sn="King", mail=None)),
        "2": platform.fingerprint(account("2")),
    }
    assert expected == listed(make())


def test_disable_and_enable_are_seen_and_undo_each_other(make):
    platform = make()
    platform.add(account())
    before = listed(platform)

    platform.disable("1", account())
    assert {"1": platform.fingerprint(account(enabled=False))} == listed(make())
    assert "1" == make().find(account())
    platform.update("1", account(cn="B"), frozenset({"cn"}))
    assert {"1": platform.fingerprint(account(enabled=False, cn="B"))} == listed(make())

    make().enable("1", account())
    assert before == listed(make())


def test_a_leaver_is_disabled_even_where_the_rest_is_refused(make):
    """The engine did not know how the account looks there, and so sends both together."""
    platform = make()
    platform.add(account()), platform.add(account("2"))
    refused = account(enabled=False, cn="a\0b")

    outcomes = deliver(platform, ("disable", 2, "1", refused, frozenset(platform.fields)))

    assert [(0, "1", "Rejected")] == outcomes
    disabled, other = account(enabled=False), account("2")
    assert {"1": platform.fingerprint(disabled), "2": platform.fingerprint(other)} == listed(make())


def test_a_deleted_account_is_gone_and_deleting_it_again_is_a_success(make):
    platform = make()
    platform.add(account())
    platform.delete("1")
    platform.delete("1")

    assert {} == listed(make())
    assert None is make().find(account())


@pytest.mark.parametrize("verb", ["update", "disable", "enable"])
def test_what_is_not_there_is_gone(make, verb):
    make().add(account())
    with pytest.raises(Gone):
        getattr(make(), verb)("9", account("9"), *([frozenset({"cn"})] if verb == "update" else []))


def test_a_batch_has_one_outcome_per_delivery_in_order_and_a_bad_record_hurts_nobody(make):
    platform = make()
    platform.add(account("0"))

    outcomes = deliver(
        platform,
        add(account("1")),
        add(account("2", cn="a\0b")),
        ("update", 1, "0", account("0", sn="New"), frozenset({"sn"})),
        ("update", 1, "7", account("7"), frozenset({"sn"})),
        ("delete", 1, "8", account("8")),
        ("disable", 1, None, account("1")),
        add(account("3", enabled=False)),
        ("disable", 1, "1", account("1")),
        ("update", 1, "1", account("1", cn="\ud800"), frozenset({"cn"})),
        ("delete", 1, "0", account("0")),
    )

    ok = "NoneType"
    assert [
        (0, "1", ok),
        (1, None, "Rejected"),
        (2, "0", ok),
        (3, "7", "Gone"),
        (4, "8", ok),
        (5, None, "Gone"),
        (6, "3", ok),
        (7, "1", ok),
        (8, "1", "Rejected"),
        (9, "0", ok),
    ] == outcomes
    assert {"1": platform.fingerprint(account("1", enabled=False)), "3": platform.fingerprint(account("3", enabled=False))} == listed(make())  # fmt: skip


@pytest.mark.parametrize(
    "value",
    ["Ünïcödé 𝄞 日本", "a, b; c", "two\nlines\r\nand\rmore", 'quote " and \\', " blanks ", "x" * 4096, "# no comment", ": <", "'", "=1+1"],
)  # fmt: skip
def test_values_of_all_kinds_survive(make, value):
    one = account(cn=value, uid=value)
    platform = make()
    platform.add(one)
    platform.add(account("2"))

    assert {"1": platform.fingerprint(one), "2": platform.fingerprint(account("2"))} == listed(make())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cn": "a\0b"}, "account 1: cn holds a NUL; correct it in its source"),
        ({"cn": "\udfff"}, "account 1: cn holds half of a surrogate pair, which is no character"),
        ({"cn": "ä" * 200_000}, "account 1: cn is longer than 262144 bytes"),
        ({"cn": ("a", "b")}, "account 1: cn has 2 values and is not declared 'many'"),
    ],
)
def test_what_cannot_be_written_is_rejected_with_its_field(make, fields, message):
    with pytest.raises(Rejected) as caught:
        make().add(account(**fields))

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("key", ["", " a", "a\0", "\ud800"])
def test_keys_that_could_be_confused_are_rejected(make, key):
    platform = make()
    platform.add(account())

    with pytest.raises(Rejected):
        platform.add(account(key, uid="x"))
    platform.delete(key)
    assert ["1"] == list(listed(make()))


@pytest.mark.parametrize("key", ["ä", "a b", "a\nb", "a,b", '"', "x" * 100, "#", ":"])
def test_keys_of_all_kinds_survive(make, key):
    make().add(account(key, uid="x"))

    assert [key] == list(listed(make()))


def test_deliveries_that_change_nothing_leave_the_file_alone(make, tmp_path):
    platform = make()
    platform.add(account())

    def shape():
        return {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file()}

    before = shape()
    deliver(
        platform,
        add(account()),
        ("delete", 1, "9", account("9")),
        ("update", 1, "1", account(), frozenset({"cn"})),
    )

    assert before == shape()


def test_no_draft_is_left_behind(make, tmp_path):
    platform = make()
    platform.add(account())
    platform.delete("1")

    assert [] == list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("call", range(1, 9))
def test_a_full_disk_at_any_call_leaves_the_old_or_the_new_and_the_next_try_succeeds(make, monkeypatch, call):
    make().add(account())
    before, left = listed(make()), itertools.count(call, -1)
    deliveries = [add(account("2")), ("update", 1, "1", account(cn="B"), frozenset({"cn"}))]

    def failing(original):
        def instead(*given):
            if next(left) == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*given)

        return instead

    platform = make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "rename", failing(Path.rename))
        with contextlib.suppress(Unavailable):
            deliver(platform, *deliveries)

    after = {"1": platform.fingerprint(account(cn="B")), "2": platform.fingerprint(account("2"))}
    assert listed(make()) in (before, after)
    assert ["NoneType", "NoneType"] == [kind for _, _, kind in deliver(platform, *deliveries)]
    assert after == listed(platform)


def test_a_derived_file_that_could_not_be_written_is_written_by_the_next_try(tmp_path, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    platform = csv_platform(tmp_path, key=False, columns=["uid"])
    with monkeypatch.context() as patch:
        patch.setattr(platform, "_derive", full)
        with pytest.raises(Unavailable):
            platform.add(account())

    platform.add(account())

    assert ['"uid","enabled"', '"u1","yes"'] == (tmp_path / "out.csv").read_text().splitlines()


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EACCES, Denied), (errno.EROFS, Denied), (errno.EIO, Unavailable)]
)
def test_what_a_person_must_mend_is_denied_and_the_rest_unavailable(make, monkeypatch, number, kind):
    def refused(*_given):
        raise OSError(number, os.strerror(number))

    platform = make()
    monkeypatch.setattr(os, "fsync", refused)

    with pytest.raises(kind, match=os.strerror(number)):
        platform.add(account())


def test_the_rights_are_0600_unless_told_otherwise(tmp_path):
    csv_platform(tmp_path).add(account())
    ldif_platform(tmp_path, mode="0640").add(account())

    assert 0o600 == stat.S_IMODE((tmp_path / "out.csv").stat().st_mode)
    assert 0o640 == stat.S_IMODE((tmp_path / "out.ldif").stat().st_mode)


def reopened(platform, confirmed):
    """Open a platform as the engine does that has confirmed so many accounts of it."""
    platform.context = context("export", confirmed=confirmed)
    platform.open()
    return platform


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


VERBS = [
    ("add", 1, None, account("2")),
    ("update", 1, "1", account(cn="B"), frozenset({"cn"})),
    ("disable", 1, "1", account(enabled=False)),
    ("enable", 1, "1", account(), frozenset(FIELDS)),
    ("delete", 1, "1", account()),
]


@pytest.mark.parametrize("delivery", VERBS, ids=lambda delivery: delivery[0])
def test_a_file_that_is_gone_is_not_taken_for_an_empty_one(make, tmp_path, delivery):
    """Whoever imports the next one would take all others for gone."""
    platform = make()
    platform.add(account())
    for file in files(tmp_path):
        file.unlink()

    message = (
        rf"{platform._path} is gone or empty, and had 1 of the accounts; put it back, or let `syncd verify"
    )
    for one in (platform, reopened(make(), confirmed=1)):
        with pytest.raises(Denied, match=message):
            deliver(one, delivery)
    assert [] == files(tmp_path)


@pytest.mark.parametrize("left", [b"", b"\xef\xbb\xbf", b"# nobody\n\n"])
def test_nor_is_one_that_somebody_emptied(make, left):
    platform = make()
    platform.add(account())
    platform._path.write_bytes(left)

    with pytest.raises(Denied, match=r"put it (back|right)"):
        deliver(reopened(make(), confirmed=1), add(account("2")))
    assert left == platform._path.read_bytes()


def test_a_table_with_a_header_alone_is_empty(tmp_path):
    platform = csv_platform(tmp_path)
    platform.add(account())
    header = platform._path.read_bytes().splitlines(keepends=True)[0]
    platform._path.write_bytes(header)

    with pytest.raises(Denied, match="is gone or empty"):
        deliver(reopened(csv_platform(tmp_path), confirmed=7), add(account("2")))


def test_a_file_that_was_put_back_goes_on(make):
    platform = make()
    platform.add(account())
    kept = platform._path.read_bytes()
    platform._path.unlink()
    with pytest.raises(Denied):
        platform.add(account("2"))
    platform._path.write_bytes(kept)
    platform.add(account("2"))

    assert {"1", "2"} == set(listed(make()))


def test_a_file_that_all_accounts_have_left_is_not_lost(make):
    platform = make()
    for key in "12":
        platform.add(account(key))
    platform = reopened(make(), confirmed=2)
    for key in "12":
        platform.delete(key)
    platform.add(account("3"))

    assert ["3"] == list(listed(make()))


def test_a_file_that_never_was_is_begun(make):
    platform = reopened(make(), confirmed=0)

    assert [(0, "1", "NoneType")] == deliver(platform, add(account()))


def test_verify_is_told_that_the_file_is_lost(make):
    platform = make()
    platform.add(account())
    platform._path.unlink()

    with pytest.raises(Gone, match="is gone or empty"):
        listed(reopened(make(), confirmed=1))
    assert {} == listed(reopened(make(), confirmed=0))


def test_changes_that_were_imported_and_taken_away_are_not_lost(tmp_path):
    """They are a queue; what is known of the importing system stands in the state beside it."""
    platform = change_platform(tmp_path)
    platform.add(account())
    for path in (tmp_path / "changes").glob("0*.ldif"):
        path.unlink()
    deliver(reopened(change_platform(tmp_path), confirmed=1), add(account("2")))

    assert {"1", "2"} == set(listed(change_platform(tmp_path)))
    assert ["000002.ldif"] == [path.name for path in (tmp_path / "changes").glob("0*.ldif")]


def test_what_is_delivered_again_in_full_is_gone_with_its_file_and_can_be_added(make):
    everything = frozenset(FIELDS)

    assert [(0, "1", "Gone"), (1, "2", "Gone")] == deliver(
        make(),
        ("enable", 1, "1", account(), everything),
        ("disable", 1, "2", account("2", enabled=False), everything),
    )
    make().add(account())
    assert ["1"] == list(listed(make()))


@pytest.mark.parametrize("make_one", [csv_platform, ldif_platform])
def test_a_name_stands_once_in_a_list_of_columns(tmp_path, make_one):
    name = "columns" if make_one is csv_platform else "attributes"
    with pytest.raises(ValidationError, match="names 'uid' twice; every name stands once"):
        make_one(tmp_path, **{name: ["uid", "cn", "uid"]})


def test_a_missing_folder_is_unavailable_and_not_an_empty_file(make, tmp_path):
    platform = make()
    platform.add(account())
    tmp_path.rename(f"{tmp_path}-elsewhere")

    with pytest.raises(Unavailable, match="there is no such folder; make it, or mount it"):
        platform.open()
    with pytest.raises(Unavailable):
        platform.add(account("2"))


def test_a_folder_that_cannot_be_written_to_is_denied_by_a_check(make, monkeypatch):
    platform = make()
    monkeypatch.setattr(os, "access", lambda *_given: False)

    with pytest.raises(Denied, match="the service's user may not write to it"):
        list(platform.check())


def test_a_symbolic_link_is_neither_read_nor_replaced(tmp_path):
    (tmp_path / "real").write_text("x")
    (tmp_path / "out.csv").symlink_to(tmp_path / "real")

    with pytest.raises(Denied):
        csv_platform(tmp_path).add(account())
    assert (tmp_path / "out.csv").is_symlink()


def test_a_check_counts_the_accounts(make):
    platform = make()
    platform.add(account())

    (line,) = platform.check()
    assert line.endswith(": 1 accounts")


def test_two_runs_of_the_same_deliveries_write_the_same_bytes(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        for platform in (csv_platform(folder), ldif_platform(folder)):
            deliver(platform, *(add(account(str(n))) for n in range(20)))

    first, second = ([path.read_bytes() for path in sorted(folder.iterdir())] for folder in folders)
    assert first == second


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "update", "disable", "enable", "delete"]),
            st.sampled_from(["1", "2", "3"]),
            CELLS.filter(bool),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_any_history_leaves_what_was_delivered(make, tmp_path, history, cut):
    """The model: key -> (enabled, value); batches of any size give the same end."""
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else None
    model, steps = {}, []
    for action, key, value, enabled in history:
        one = account(key, enabled, cn=value)
        steps.append((action, 1, None if action == "add" else key, one))
        if action == "delete":
            model.pop(key, None)
        elif action == "add":
            model[key] = (enabled, value)
        elif key in model:
            model[key] = ({"update": model[key][0], "disable": False, "enable": True}[action], value)
    make().add(account("0"))
    model["0"] = (True, "Ada")
    for at in range(0, len(steps), cut):
        deliver(make(), *steps[at : at + cut])

    platform = make()
    assert {
        key: platform.fingerprint(account(key, on, cn=text)) for key, (on, text) in model.items()
    } == listed(platform)


# CSV alone


def test_the_table_is_as_configured(tmp_path):
    columns = {
        "First Name": "first_name",
        "Phone": {"attribute": "phone", "limit": 20},
        "Groups": {"attribute": "groups", "many": True},
    }
    platform = csv_platform(tmp_path, columns=columns, key="ID", enabled=SWITCH)
    fields = {"First Name": "Ada", "Phone": "+49 40 1234-5", "Groups": ("a", "b")}
    platform.add(Account("k1", "user", True, fields))
    platform.add(Account("k2", "user", False, {}))

    assert (
        b'"ID","First Name","Phone","Groups","active"\r\n"k1","Ada","+49 40 1234-5","a;b","1"\r\n"k2","","","","0"\r\n'
    ) == (tmp_path / "out.csv").read_bytes()
    assert ["first_name", "phone", "groups"] == [field.attribute for field in platform.fields.values()]
    assert (20, True) == (platform.fields["Phone"].limit, platform.fields["Groups"].many)


def test_a_required_column_rejects_who_lacks_it(tmp_path):
    platform = csv_platform(tmp_path, columns={"n": {"attribute": "last_name", "required": True}})

    with pytest.raises(Rejected, match="n is empty, and is required"):
        platform.add(Account("1", "user", True, {"n": ""}))


def test_a_value_with_the_separator_in_it_is_rejected(tmp_path):
    platform = csv_platform(tmp_path, columns={"g": {"attribute": "groups", "many": True}})

    with pytest.raises(Rejected, match="holds the separator"):
        platform.add(Account("1", "user", True, {"g": ("a;b", "c")}))


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("+49 (40) 123-456/7", "+49 (40) 123-456/7"),
        ("+49=1", "'+49=1"),
        ("+", "'+"),
        ("a=1", "a=1"),
        ("", ""),
        ("'=", "'="),
    ],
)
def test_no_cell_can_be_taken_for_a_formula(tmp_path, cell, written):
    csv_platform(tmp_path).add(account(cn=cell))

    text = (tmp_path / "out.csv").read_bytes().decode()
    (_, row) = csv.reader(io.StringIO(text, newline=""))
    assert written == row[2] == guarded(cell)


def test_a_key_that_could_be_taken_for_a_formula_is_rejected(tmp_path):
    with pytest.raises(Rejected, match="could be taken for a formula"):
        csv_platform(tmp_path).add(account("=1"))


def test_many_values_that_are_too_long_together_are_rejected(tmp_path):
    platform = csv_platform(tmp_path, columns={"g": {"attribute": "groups", "many": True}})

    with pytest.raises(Rejected, match="all values together, is longer"):
        platform.add(Account("1", "user", True, {"g": ("x" * 200_000, "y" * 200_000)}))


def test_raw_writes_cells_as_they_are_and_no_quote_more_than_needed(tmp_path):
    csv_platform(tmp_path, raw=True).add(account(cn="=1", sn="a,b"))

    assert (
        b'account,uid,cn,sn,mail,enabled\r\n1,u1,=1,"a,b",a@x,yes\r\n' == (tmp_path / "out.csv").read_bytes()
    )


def test_without_columns_of_its_own_the_disabled_have_no_row(tmp_path):
    platform = csv_platform(tmp_path, key=False, enabled=False, columns=["uid"], raw=True)
    platform.add(account("1"))
    platform.add(account("2"))
    platform.disable("1", account("1"))

    assert b"uid\r\nu2\r\n" == (tmp_path / "out.csv").read_bytes()
    assert 0o600 == stat.S_IMODE((tmp_path / "out.csv.state").stat().st_mode)


def test_a_derived_file_that_was_lost_or_changed_is_put_right_when_opened(tmp_path):
    def run():
        return csv_platform(tmp_path, key=False, columns=["uid"])

    run().add(account())
    expected = (tmp_path / "out.csv").read_bytes()
    (tmp_path / "out.csv").write_text("nonsense")

    run()

    assert expected == (tmp_path / "out.csv").read_bytes()


def test_rows_of_others_stay_as_they_are(tmp_path):
    csv_platform(tmp_path).add(account())
    with (tmp_path / "out.csv").open("a", newline="") as file:
        file.write(",guest,Guest,,,perhaps\r\n")

    csv_platform(tmp_path).update("1", account(cn="B"), frozenset({"cn"}))

    assert '"","guest","Guest","","","perhaps"' == (tmp_path / "out.csv").read_text().splitlines()[2]
    assert ["1"] == list(listed(csv_platform(tmp_path)))


def test_an_edited_row_is_drift(tmp_path):
    platform = csv_platform(tmp_path)
    platform.add(account())
    path = tmp_path / "out.csv"
    path.write_bytes(path.read_bytes().replace(b"Ada", b"Eve"))

    assert {"1": platform.fingerprint(account(cn="Eve"))} == listed(platform)


def test_a_copied_row_goes_with_its_account(tmp_path):
    csv_platform(tmp_path).add(account())
    path = tmp_path / "out.csv"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[1])

    csv_platform(tmp_path).delete("1")

    assert {} == listed(csv_platform(tmp_path))


def test_a_broken_file_is_refused_with_its_line_and_left_alone(tmp_path):
    csv_platform(tmp_path).add(account())
    path = tmp_path / "out.csv"
    path.write_bytes(path.read_bytes() + b"1,2\r\n")
    before = path.read_bytes()

    with pytest.raises(Denied, match=r"out\.csv:3: 2 cells where the header has 6"):
        csv_platform(tmp_path).add(account("2"))
    assert before == path.read_bytes()


def test_other_columns_than_last_time_keep_what_is_known(tmp_path):
    csv_platform(tmp_path).add(account())

    platform = csv_platform(tmp_path, columns=["mail", "cn", "phone"], delimiter=";", raw=True)
    platform.add(account("2"))

    assert ["account;mail;cn;phone;enabled", "1;a@x;Ada;;yes", "2;a@x;Ada;;yes"] == (
        (tmp_path / "out.csv").read_text().splitlines()
    )


def test_what_the_csv_platform_writes_the_csv_source_reads(tmp_path):
    value = 'ä, "b"\nc'
    csv_platform(tmp_path).add(account(cn=value))
    options = {"path": str(tmp_path / "out.csv"), "anchor": "account", "enabled": "enabled", "stable_for": 0}

    first, _ = CsvSource(CsvSource.Options(**options), CONTEXT).read(None)

    assert ("1", (value,), True) == (first.anchor, first.attributes["cn"], first.enabled)


# LDIF alone


def test_the_file_is_content_with_the_keys_in_comments(tmp_path):
    platform = ldif_platform(tmp_path, object_class=("person",))
    platform.add(account(uid="a, b", mail=None))
    platform.add(account("k 2"))
    platform.disable("k 2", account("k 2"))

    assert rb"""version: 1

# account: 1
dn: uid=a\, b,ou=people,dc=x
objectClass: person
uid: a, b
cn: Ada
sn: Lovelace

# account:: ayAy
# disabled
# dn: uid=uk 2,ou=people,dc=x
# objectClass: person
# uid: uk 2
# cn: Ada
# sn: Lovelace
# mail: a@x

""" == (tmp_path / "out.ldif").read_bytes()


def test_what_the_ldif_platform_writes_the_ldif_source_reads(tmp_path):
    platform = ldif_platform(
        tmp_path, attributes=[*FIELDS[:3], "description"], enabled={**SWITCH, "on": "TRUE", "off": "FALSE"}
    )
    platform.add(account(cn="ä\nb", description="x" * 4096))
    platform.add(account("2", enabled=False))
    options = {"path": str(tmp_path / "out.ldif"), "anchor": "uid", "enabled": "Active", "stable_for": 0}

    found = [
        item
        for item in LdifSource(LdifSource.Options(**options), CONTEXT).read(None)
        if isinstance(item, Entry)
    ]

    assert [("u1", True), ("u2", False)] == [(entry.anchor, entry.enabled) for entry in found]
    assert ("ä\nb",) == found[0].attributes["cn"]
    assert ("x" * 4096,) == found[0].attributes["description"]


def test_a_disabled_account_without_an_attribute_for_it_has_no_entry(tmp_path):
    platform = ldif_platform(tmp_path)
    platform.add(account())
    platform.disable("1", account())

    assert [] == list(LdifFile(io.BytesIO((tmp_path / "out.ldif").read_bytes())))


def test_entries_of_others_stay_as_they_are(tmp_path):
    ldif_platform(tmp_path).add(account())
    path = tmp_path / "out.ldif"
    path.write_bytes(path.read_bytes() + b"# mine\ndn: cn=guest\ncn: guest\n")

    ldif_platform(tmp_path).delete("1")

    assert b"version: 1\n\n# mine\ndn: cn=guest\ncn: guest\n\n" == path.read_bytes()


def test_the_attribute_that_names_an_entry_is_required_and_unique(tmp_path):
    platform = ldif_platform(tmp_path)

    assert (True, True) == (platform.fields["uid"].required, platform.fields["uid"].key)
    assert (False, False) == (platform.fields["cn"].required, platform.fields["cn"].key)
    with pytest.raises(Rejected, match="uid is empty, and is required"):
        platform.add(account(uid=""))


@pytest.mark.parametrize(
    "options",
    [
        {"dn": "uid={login},dc=x"},
        {"dn": "employeeNumber={uid},dc=x"},
        {"dn": "uid={uid!r},dc=x"},
        {"dn": "uid={},dc=x"},
        {"dn": "dc=x"},
        {"dn": "{uid}"},
        {"attributes": {"uid": "login", "UID": "login"}},
        {"attributes": {"uid": "login", "changetype": "title"}},
        {"attributes": {"uid": "login", "a b": "title"}},
        {"enabled": {"name": "uid"}},
        {"mode": "0666"},
        {"path": "out.ldif"},
        {"style": "diff"},
    ],
)
def test_ldif_options_that_do_not_fit_together_are_refused(options):
    with pytest.raises(ValidationError):
        LdifPlatform.Options(**{"path": "/x/y", "dn": NAME, "attributes": list(FIELDS), **options})


@pytest.mark.parametrize(
    "options",
    [
        {"columns": []},
        {"columns": ["account"]},
        {"columns": [" a"]},
        {"mode": "777"},
        {"delimiter": ""},
        {"colums": ["a"]},
    ],
)
def test_csv_options_that_do_not_fit_together_are_refused(options):
    with pytest.raises(ValidationError):
        CsvPlatform.Options(**{"path": "/x/y", "columns": ["a"], **options})


@pytest.mark.parametrize("model", [CsvPlatform.Options, LdifPlatform.Options])
def test_every_option_is_described(model):
    assert [] == [name for name, field in model.model_fields.items() if not field.description]


# changes


def changes(folder):
    return {
        path.name: path.read_bytes()
        for path in sorted((folder / "changes").glob("*.ldif"))
        if path.name[0] != "."
    }


HEAD = b"version: 1\n\n"


def test_each_batch_is_one_file_of_changes(tmp_path):
    platform = change_platform(tmp_path, object_class=("person",))
    deliver(platform, add(account()), add(account("2", mail=None)))
    deliver(change_platform(tmp_path, object_class=("person",)),
            ("update", 1, "1", account(cn="Ädä", mail=None), frozenset({"cn", "mail"})),
            ("delete", 1, "2", account("2")))  # fmt: skip

    assert {
        "000001.ldif": HEAD + b"""dn: uid=u1,ou=people,dc=x
changetype: add
objectClass: person
uid: u1
cn: Ada
sn: Lovelace
mail: a@x

dn: uid=u2,ou=people,dc=x
changetype: add
objectClass: person
uid: u2
cn: Ada
sn: Lovelace

""",
        "000002.ldif": HEAD + b"""dn: uid=u1,ou=people,dc=x
changetype: modify
replace: cn
cn:: w4Rkw6Q=
-
replace: mail
-

dn: uid=u2,ou=people,dc=x
changetype: delete

""",
    } == changes(tmp_path)  # fmt: skip


def test_disabling_is_a_change_of_the_attribute_or_else_a_deletion(tmp_path):
    for folder, options in ((tmp_path / "a", {"enabled": SWITCH}), (tmp_path / "b", {})):
        folder.mkdir()
        platform = change_platform(folder, **options)
        platform.add(account())
        platform.disable("1", account())

    record = b"dn: uid=u1,ou=people,dc=x\nchangetype: "
    assert (
        HEAD + record + b"modify\nreplace: active\nactive: 0\n-\n\n" == changes(tmp_path / "a")["000002.ldif"]
    )
    assert HEAD + record + b"delete\n\n" == changes(tmp_path / "b")["000002.ldif"]


def test_a_new_name_is_a_rename_and_a_move_where_the_parent_changes(tmp_path):
    platform = change_platform(tmp_path, dn="uid={uid},ou={sn},dc=x", attributes=["uid", "sn"])
    platform.add(account(sn="a"))
    platform.update("1", account(uid="new", sn="b"), frozenset({"uid", "sn"}))

    assert (
        HEAD
        + (
            b"dn: uid=u1,ou=a,dc=x\nchangetype: modrdn\nnewrdn: uid=new\ndeleteoldrdn: 1\nnewsuperior: ou=b,dc=x\n\n"
            b"dn: uid=new,ou=b,dc=x\nchangetype: modify\nreplace: uid\nuid: new\n-\nreplace: sn\nsn: b\n-\n\n"
        )
        == changes(tmp_path)["000002.ldif"]
    )


def test_a_system_that_takes_no_renames_gets_a_deletion_and_an_addition(tmp_path):
    platform = change_platform(tmp_path, rename="replace")
    platform.add(account())
    platform.update("1", account(uid="new"), frozenset({"uid"}))

    assert [b"delete", b"add"] == [
        line[12:] for line in changes(tmp_path)["000002.ldif"].splitlines() if line.startswith(b"changetype")
    ]


def test_numbers_are_never_used_twice(tmp_path):
    change_platform(tmp_path).add(account())
    (tmp_path / "changes" / "000001.ldif").unlink()
    change_platform(tmp_path).add(account("2"))
    assert ["000002.ldif"] == list(changes(tmp_path))

    (tmp_path / "changes" / ".state.ldif").unlink()
    change_platform(tmp_path).add(account("3"))
    assert ["000002.ldif", "000003.ldif"] == list(changes(tmp_path))


def test_a_batch_of_which_the_state_knows_is_finished_and_another_thrown_away(tmp_path):
    change_platform(tmp_path).add(account())
    folder = tmp_path / "changes"
    (folder / "000001.ldif").rename(folder / ".000001.ldif.tmp")
    (folder / ".000002.ldif.tmp").write_text("half")

    change_platform(tmp_path)

    assert [".state.ldif", "000001.ldif"] == sorted(path.name for path in folder.iterdir())


def test_a_key_that_cannot_be_read_is_refused(tmp_path):
    ldif_platform(tmp_path).add(account("a b"))
    path = tmp_path / "out.ldif"
    path.write_bytes(path.read_bytes().replace(b"# account:: ", b"# account:: !"))

    with pytest.raises(Denied, match="the key of an account: the value is not base64"):
        ldif_platform(tmp_path).find(account())


def test_an_ldif_file_with_a_nul_in_it_is_refused(tmp_path):
    (tmp_path / "out.ldif").write_bytes(b"version: 1\n\n# account: 1\n\0\n")

    with pytest.raises(Denied, match=r"out\.ldif:4: the line holds a NUL"):
        ldif_platform(tmp_path).add(account())


def test_a_state_that_is_damaged_is_refused(tmp_path):
    change_platform(tmp_path).add(account())
    state = tmp_path / "changes" / ".state.ldif"
    state.write_bytes(state.read_bytes().replace(b"cn: ", b"cn ; "))

    with pytest.raises(Denied, match="the entry of account 1 is damaged"):
        change_platform(tmp_path).update("1", account(cn="B"), frozenset({"cn"}))


# size


@pytest.mark.parametrize("kind", ["csv", "ldif"])
def test_four_times_the_accounts_take_about_four_times_as_long(tmp_path, kind):
    def cost(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        platform = MAKERS[kind](folder)
        started = time.process_time()
        failed = sum(
            o.error is not None
            for o in platform.deliver(Delivery(n, *add(account(str(n)))) for n in range(count))
        )
        deliver(platform, ("delete", 1, "5", account("5")))
        assert (0, count - 1) == (failed, len(listed(platform)))
        return time.process_time() - started

    cost(100)
    assert cost(12_000) < 10 * max(cost(3_000), 0.02)
