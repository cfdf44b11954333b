"""The sources ``csv`` and ``ldif``."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

import syncd_bulk
from syncd import Checkpoint, Context, Denied, Entry, Problem, Unavailable
from syncd_bulk.csvsource import CsvSource
from syncd_bulk.inputs import Terms, private_copy
from syncd_bulk.ldifsource import LdifSource

CONTEXT = Context("files", SimpleNamespace(), str)
PEOPLE = b"id,name,mail\n1,Ada,a@x\n2,Bob,\n"
DIRECTORY = b"""version: 1

dn: uid=ada,dc=x
uid: ada
entryUUID: 1
GivenName: Ada
mail: a@x
mail: b@x

dn: uid=bob,dc=x
uid: bob
entryUUID: 2
givenname:: QsO2Yg==
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "people"


@pytest.fixture
def from_csv(file):
    def source(data=None, select=("name", "mail"), **options):
        if data is not None:
            file.write_bytes(data)
        settings = {"path": str(file), "anchor": "id", "stable_for": 0, **options}
        made = CsvSource(CsvSource.Options(**settings), CONTEXT)
        made.select(select)
        return made

    return source


@pytest.fixture
def from_ldif(file):
    def source(data=None, select=("givenName", "MAIL"), **options):
        if data is not None:
            file.write_bytes(data)
        settings = {"path": str(file), "anchor": "entryUUID", "stable_for": 0, **options}
        made = LdifSource(LdifSource.Options(**settings), CONTEXT)
        made.select(select)
        return made

    return source


def told(item):
    if isinstance(item, Entry):
        return item.anchor, dict(item.attributes), item.enabled
    return item


def read(source):
    return [told(item) for item in source.read(None)]


END = Checkpoint(cursor=None, full=True)


def test_the_plugin_registers_both_directions_of_both_formats():
    found = []
    syncd_bulk.register_connectors(
        lambda word, connector: found.append((word, connector.__name__)), lambda *_: True
    )

    assert [
        ("csv", "CsvSource"),
        ("ldif", "LdifSource"),
        ("csv", "CsvPlatform"),
        ("ldif", "LdifPlatform"),
    ] == found


def test_each_row_is_an_entry_and_the_end_is_a_full_checkpoint(from_csv):
    assert [
        ("1", {"name": ("Ada",), "mail": ("a@x",)}, True),
        ("2", {"name": ("Bob",), "mail": ()}, True),
        END,
    ] == read(from_csv(PEOPLE))


def test_each_ldif_entry_is_an_entry_under_the_spelling_of_the_mapping(from_ldif):
    assert [
        ("1", {"givenName": ("Ada",), "MAIL": ("a@x", "b@x")}, True),
        ("2", {"givenName": ("Böb",)}, True),
        END,
    ] == read(from_ldif(DIRECTORY))


def test_the_name_of_an_entry_can_be_anchor_and_attribute(from_ldif):
    first, *_ = read(from_ldif(DIRECTORY, select=("dn", "DN"), anchor="dn"))

    assert ("uid=ada,dc=x", {"dn": ("uid=ada,dc=x",), "DN": ("uid=ada,dc=x",)}, True) == first


def test_a_mapped_column_that_the_file_lacks_is_unknown_and_not_empty(from_csv):
    first, *_ = from_csv(PEOPLE, select=("name", "phone")).read(None)

    assert frozenset({"phone"}) == first.unknown
    assert {"name": ("Ada",)} == first.attributes


def test_without_a_selection_every_column_is_told(from_csv, from_ldif):
    first, *_ = from_csv(PEOPLE, select=()).read(None)
    assert {"id", "name", "mail"} == set(first.attributes)

    first, *_ = from_ldif(DIRECTORY, select=()).read(None)
    assert {"dn", "uid", "entryuuid", "givenname", "mail"} == set(first.attributes)


def test_the_first_entry_is_yielded_before_the_last_is_read(from_csv):
    items = from_csv(PEOPLE + b"3\n").read(None)

    assert "1" == next(items).anchor
    assert "2" == next(items).anchor
    with pytest.raises(Denied):
        next(items)


def test_fingerprints_differ_exactly_when_the_entry_does(from_csv):
    def prints(data, **options):
        return [item.fingerprint for item in from_csv(data, **options).read(None) if isinstance(item, Entry)]

    before = prints(PEOPLE)
    assert before == prints(PEOPLE.replace(b"\n", b"\r\n"))
    assert {16} == {len(one) for one in before}
    assert [True, False] == [
        a == b for a, b in zip(before, prints(PEOPLE.replace(b"Bob", b"Bo")), strict=True)
    ]
    assert not set(before) & set(prints(PEOPLE.replace(b"name", b"Name"), select=("Name",)))
    assert not set(before) & set(prints(PEOPLE, enabled="mail"))
    assert not set(prints(PEOPLE, enabled="mail")) & set(prints(PEOPLE, enabled="mail", disabled=("a@x",)))


def test_a_column_that_is_not_mapped_is_in_no_fingerprint(from_csv):
    """Of a code in it, all could be tried against the database by who knows the rest of the row."""
    data = b"id,name,code,active\n1,Ada,4711,yes\n2,Bob,4712,no\n"

    def prints(data, **options):
        return [item.fingerprint for item in from_csv(data, **options).read(None) if isinstance(item, Entry)]

    before = prints(data, select=("name",), enabled="active")
    assert 2 == len(set(before))
    assert before == prints(data.replace(b"4711", b"0815"), select=("name",), enabled="active")
    assert before == prints(b"active,id,name\nyes,1,Ada\nno,2,Bob\n", select=("name",), enabled="active")
    assert before != prints(data.replace(b"yes", b"no"), select=("name",), enabled="active")
    assert before != prints(data.replace(b"4711", b"0815"), select=("name", "code"), enabled="active")
    moved = prints(b"id,name,mail\n1,a@x,\n", select=("name", "mail"))
    assert moved != prints(b"id,name,mail\n1,,a@x\n", select=("name", "mail"))
    assert moved != prints(b"id,name\n1,a@x\n", select=("name", "mail"))


def test_an_attribute_that_is_not_mapped_is_in_no_fingerprint(from_ldif):
    def prints(data, select=("givenName", "mail"), **options):
        made = from_ldif(data, select=select, **options)
        return [item.fingerprint for item in made.read(None) if isinstance(item, Entry)]

    before = prints(DIRECTORY)
    assert 2 == len(set(before))
    assert before == prints(DIRECTORY.replace(b"uid: ada", b"uid: eva").replace(b"uid=ada", b"uid=eva"))
    assert before == prints(DIRECTORY.replace(b"mail: b@x\n", b"mail: b@\n x\nemployeeNumber: 4711\n"))
    assert before != prints(DIRECTORY.replace(b"mail: b@x\n", b""))
    assert before != prints(DIRECTORY.replace(b"mail: a@x\nmail: b@x\n", b"mail: b@x\nmail: a@x\n"))
    named = prints(DIRECTORY, enabled="uid")
    assert named != prints(DIRECTORY.replace(b"uid: ada", b"uid: no"), enabled="uid")
    assert prints(DIRECTORY, ("dn",)) != prints(DIRECTORY.replace(b"uid=ada", b"uid=eva"), ("dn",))


@pytest.mark.parametrize(
    ("value", "disabled", "enabled"),
    [
        ("yes", None, True),
        ("NO", None, False),
        (" inactive ", None, False),
        ("", None, True),
        ("gone", ("gone",), False),
        ("no", ("gone",), True),
        ("2026-01-01", ("*",), False),
        ("", ("*",), True),
    ],
)
def test_listed_values_of_a_column_disable(from_csv, value, disabled, enabled):
    options = {} if disabled is None else {"disabled": disabled}
    data = f"id,name,active\n1,Ada,{value}\n".encode()

    first, *_ = from_csv(data, enabled="active", **options).read(None)

    assert enabled == first.enabled


@pytest.mark.parametrize(
    ("line", "attribute", "enabled"),
    [
        ("userAccountControl: 512", "userAccountControl", True),
        ("userAccountControl: 514", "useraccountcontrol", False),
        ("userAccountControl: -2147483134", "userAccountControl", False),
        ("loginDisabled: FALSE", "loginDisabled", False),
        ("x: y", "loginDisabled", True),
    ],
)
def test_listed_values_of_an_attribute_disable_and_of_active_directory_one_bit(
    from_ldif, line, attribute, enabled
):
    first, *_ = from_ldif(f"dn: cn=a\nentryUUID: 1\n{line}\n".encode(), enabled=attribute).read(None)

    assert enabled == first.enabled


def test_a_missing_enabled_column_fails_the_read_rather_than_enabling_everybody(from_csv, file):
    with pytest.raises(Denied) as caught:
        read(from_csv(PEOPLE, enabled="active"))

    assert f"{file}:1: active: there is no such column, though 'enabled' names it" in str(caught.value)


BAD = b"id,name,mail\n1,Ada,a@x\n2,Bob\n,Eve,e@x\n4,Dan,\xe4\n5,Fay,f@x\n"


def test_one_bad_row_fails_the_whole_read_with_all_that_is_wrong(from_csv, file):
    items = from_csv(BAD).read(None)
    next(items)

    with pytest.raises(Denied) as caught:
        next(items)

    assert (
        f"{file}:3: 2 cells where the header has 3; quote a cell that holds the delimiter, or write every cell, "
        "empty ones too\n"
        f"{file}:4: id: it is empty, so it cannot be known who this is; fill it in\n"
        f"{file}:5: mail: the text is not UTF-8; save the file as UTF-8\n"
        "nothing of the file is used; mend it, or set partial = true to use its good rows"
    ) == str(caught.value)


def test_the_message_has_twenty_faults_at_most(from_csv):
    with pytest.raises(Denied) as caught:
        read(from_csv(b"id,name\n" + b"1\n" * 50))

    lines = str(caught.value).splitlines()
    assert "and 30 more" == lines[20]
    assert 22 == len(lines)


def test_with_partial_good_rows_are_used_and_bad_ones_are_problems(from_csv, file):
    found = read(from_csv(BAD, partial=True))

    assert ["1", "5"] == [item[0] for item in found if isinstance(item, tuple)]
    problems = [item for item in found if isinstance(item, Problem)]
    assert [None, None, "4"] == [problem.anchor for problem in problems]
    assert [f"{file}:3", f"{file}:4", f"{file}:5"] == [problem.message.split(": ")[0] for problem in problems]
    assert f"{file}:5: mail: the text is not UTF-8; save the file as UTF-8" == problems[2].message
    assert END == found[-1]


def test_a_bad_ldif_entry_is_a_problem_of_its_anchor(from_ldif, file):
    data = (
        DIRECTORY
        + b"\ndn: cn=c\nentryUUID: 3\nmail:: !\n\ndn: cn=d\ncn: d\n\ndn: cn=e\nentryUUID: 4\nentryUUID: 5\n"
    )

    problems = [item for item in from_ldif(data, partial=True).read(None) if isinstance(item, Problem)]

    assert [
        ("3", f"{file}:17: mail: the value is not base64 (RFC 4648); export the file anew"),
        (None, f"{file}:19: entryUUID: the entry lacks it, so it cannot be known who this is; export it, or choose another anchor"),
        (None, f"{file}:22: entryUUID: it has 2 values, so it cannot be known who this is; export it, or choose another anchor"),
    ] == [(problem.anchor, problem.message) for problem in problems]  # fmt: skip


TWICE = b"id,name\n1,Ada\n2,Bob\n1,Eve\n3,Fay\n1,Dan\n"


def test_with_partial_an_anchor_that_stands_twice_is_one_problem_and_no_entry(from_csv, file):
    message = f"{file}:2: id: the same anchor stands in line 4, 6 too; give each its own"

    assert [
        Problem("1", "duplicate", message),
        ("2", {"name": ("Bob",)}, True),
        ("3", {"name": ("Fay",)}, True),
        END,
    ] == read(from_csv(TWICE, select=("name",), partial=True))


def test_without_partial_it_fails_the_read(from_csv, file):
    with pytest.raises(Denied, match="2: id: the same anchor stands in line 4, 6 too"):
        read(from_csv(TWICE))


def test_a_bad_row_with_the_anchor_of_a_good_one_counts_as_twice(from_csv):
    data = b"id,name\n1,Ada\n1,\xe4\n"

    found = read(from_csv(data, partial=True))

    assert [("1", "duplicate")] == [(item.anchor, item.code) for item in found[:-1]]


@pytest.mark.parametrize("partial", [False, True])
def test_more_rows_than_max_entries_are_an_error_that_names_the_option_and_never_a_cut(
    from_csv, file, partial
):
    with pytest.raises(Denied) as caught:
        read(from_csv(PEOPLE, max_entries=1, partial=partial))

    assert f"{file}:3: more than 1 rows; raise max_entries if that is right" in str(caught.value)
    assert 3 == len(read(from_csv(PEOPLE, max_entries=2, partial=partial)))


def test_the_vendors_limit_is_the_default(from_csv):
    rows = b"id,name\n" + b"".join(b"%d,x\n" % n for n in range(5001))

    with pytest.raises(Denied, match="more than 5000 rows"):
        read(from_csv(rows))


@pytest.mark.parametrize("partial", [False, True])
def test_a_quote_that_is_never_closed_is_a_torn_read(from_csv, partial):
    with pytest.raises(Unavailable) as caught:
        read(from_csv(b'id,name\n1,Ada\n2,"Bob\n3,Eve\n', partial=partial))

    assert 60 == caught.value.retry_after
    assert "the file looks half-written: read again in 60 s" in str(caught.value)


@pytest.mark.parametrize("partial", [False, True])
def test_a_file_of_changes_is_refused_and_says_what_to_do(from_ldif, partial):
    with pytest.raises(Denied, match="export the entries themselves"):
        read(from_ldif(b"dn: cn=a\nchangetype: delete\n", partial=partial))


@pytest.mark.parametrize("data", [b"", b"\n", PEOPLE[:-1], PEOPLE[:-4]])
def test_an_empty_or_half_written_file_is_a_torn_read(from_csv, data):
    with pytest.raises(Unavailable) as caught:
        read(from_csv(data))

    assert caught.value.retry_after


def test_a_file_that_changed_just_now_is_read_later(from_csv, file):
    with pytest.raises(Unavailable) as caught:
        read(from_csv(PEOPLE, stable_for=60))

    assert 50 < caught.value.retry_after <= 60
    assert f"{file}: it changed 0 s ago, and counts as whole after 60 s without a change (stable_for)" in str(
        caught.value
    )


@pytest.mark.parametrize(("age", "whole"), [(59.0, False), (61.0, True), (-1000.0, False)])
def test_stability_is_judged_by_the_time_that_nobody_can_set(file, age, whole):
    """An old modification time (rsync, cp -p) proves nothing; the inode's own change does."""
    file.write_bytes(PEOPLE)
    os.utime(file, (0, 0))
    now = file.stat().st_ctime + age

    if whole:
        with private_copy(str(file), Terms(stable_for=60), now) as copy:
            assert PEOPLE == copy.file.read()
    else:
        with pytest.raises(Unavailable), private_copy(str(file), Terms(stable_for=60), now):
            pass


def test_a_trailer_proves_completeness(from_csv, from_ldif):
    assert 3 == len(read(from_csv(PEOPLE + b"# end 2\n", complete="trailer", stable_for=60)))
    assert 3 == len(read(from_csv(PEOPLE + b"# end 2", complete="trailer")))
    assert 3 == len(read(from_ldif(DIRECTORY + b"\n# end 2\r\n", complete="trailer")))


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PEOPLE, "its last line is not the trailer '# end N' that complete = 'trailer' asks for"),
        (PEOPLE + b"# end 3\n", "its writer states 3 rows, and it has 2"),
        (b"id,name,mail\n1,A\n# end 2\n", r"its writer states 2 rows, and it has 1"),
    ],
)
def test_a_missing_or_different_trailer_is_a_torn_read(from_csv, data, message, partial):
    with pytest.raises(Unavailable) as caught:
        read(from_csv(data, complete="trailer", partial=partial))

    assert message in str(caught.value)


@pytest.mark.parametrize("cut", range(len(PEOPLE) + 7))
def test_a_file_with_a_trailer_cut_anywhere_is_never_taken_for_whole(from_csv, cut):
    with pytest.raises(Unavailable):
        read(from_csv((PEOPLE + b"# end 2\n")[:cut], complete="trailer"))


def test_a_sidecar_proves_completeness(from_csv, file, tmp_path):
    beside = tmp_path / "people.sha256"
    source = from_csv(PEOPLE, complete="sidecar")
    with pytest.raises(Unavailable, match=r"people\.sha256: there is no such file"):
        read(source)

    beside.write_text(f"{hashlib.sha256(PEOPLE).hexdigest()}  people\n")
    assert 3 == len(read(source))

    file.write_bytes(PEOPLE + b"3,Eve,\n")
    with pytest.raises(Unavailable, match="it does not have the SHA-256 that stands in"):
        read(source)

    beside.write_text("3\n")
    assert 4 == len(read(source))

    beside.write_text("4\n")
    with pytest.raises(Unavailable, match="its writer states 4 rows, and it has 3"):
        read(source)

    beside.write_text("done\n")
    with pytest.raises(Denied, match="neither a SHA-256"):
        read(source)

    beside.write_text("")
    with pytest.raises(Unavailable, match="empty"):
        read(source)


def test_a_sidecar_elsewhere_is_named_by_its_option(from_csv, tmp_path):
    beside = tmp_path / "count"
    beside.write_text("2")

    assert 3 == len(read(from_csv(PEOPLE, complete="sidecar", sidecar=str(beside))))


def test_a_missing_file_is_unavailable(from_csv, file):
    with pytest.raises(Unavailable, match="there is no such file"):
        read(from_csv())


def test_a_symbolic_link_is_never_followed(from_csv, file, tmp_path):
    (tmp_path / "real").write_bytes(PEOPLE)
    file.symlink_to(tmp_path / "real")

    with pytest.raises(Denied, match="a symbolic link; name the file itself"):
        read(from_csv())


def test_what_is_no_regular_file_is_refused_without_waiting(from_csv, file):
    os.mkfifo(file)

    with pytest.raises(Denied, match="not a regular file"):
        read(from_csv())


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EACCES, Denied, "the service may not read it"),
        (errno.EIO, Unavailable, "Input/output error"),
    ],
)
def test_a_file_that_cannot_be_opened_says_why(from_csv, monkeypatch, number, kind, message):
    def refused(*_given):
        raise OSError(number, os.strerror(number))

    source = from_csv(PEOPLE)
    monkeypatch.setattr(os, "open", refused)

    with pytest.raises(kind, match=message):
        read(source)


def test_a_folder_is_refused(from_csv, file):
    file.mkdir()

    with pytest.raises(Denied, match="not a regular file"):
        read(from_csv())


def test_a_file_that_everybody_may_write_to_is_refused(from_csv, file):
    source = from_csv(PEOPLE)
    file.chmod(0o666)

    with pytest.raises(Denied, match="chmod o-w"):
        read(source)


def test_a_file_over_the_limit_is_refused(file):
    file.write_bytes(PEOPLE)

    with (
        pytest.raises(Denied, match="raise max_file_mib"),
        private_copy(str(file), Terms(stable_for=0, max_bytes=5), 0),
    ):
        pass


def test_a_change_during_the_read_cannot_be_seen(from_csv, file):
    items = from_csv(PEOPLE).read(None)
    next(items)
    file.write_bytes(b"")

    assert ["2"] == [item.anchor for item in items if isinstance(item, Entry)]


def test_a_file_that_grows_while_it_is_copied_is_torn(file, monkeypatch):
    file.write_bytes(PEOPLE)
    from syncd_bulk import inputs

    copying = inputs._transfer

    def meanwhile(*given):
        digest = copying(*given)
        with file.open("ab") as more:
            more.write(b"3,Eve,\n")
        return digest

    monkeypatch.setattr(inputs, "_transfer", meanwhile)

    with (
        pytest.raises(Unavailable, match="it changed while it was read"),
        private_copy(str(file), Terms(stable_for=0), 0),
    ):
        pass


def test_a_writer_that_appends_slowly_is_never_read_half(from_csv, file):
    """Each look between two writes is Unavailable; the first look after the last write has them all."""
    file.write_bytes(b"id,name,mail\n")
    source = from_csv(None, stable_for=1)
    looks = 0
    with file.open("ab", buffering=0) as writer:
        for number in range(20):
            writer.write(b"%d,Ada,\n" % number)
            with pytest.raises(Unavailable):
                read(source)
            looks += 1
            time.sleep(0.01)
    time.sleep(1.1)

    assert 20 == looks
    assert 21 == len(read(source))


def test_a_check_says_what_a_person_should_know(from_csv, from_ldif, file):
    assert [
        f"{file}: 2 good rows, 0 bad ones",
        "delimiter ',' (found in the header)",
        "columns: id, name, mail",
        "columns that no mapping uses: mail",
        "mapped columns that the file lacks: Nane (did you mean name?), phone",
    ] == list(from_csv(PEOPLE, select=("name", "Nane", "phone")).check())

    assert [
        f"{file}: 2 good rows, 0 bad ones",
        "attributes: GivenName, entryUUID, mail, uid",
        "attributes that no mapping uses: mail, uid",
        "mapped attributes that no entry has: sn",
    ] == list(from_ldif(DIRECTORY, select=("givenName", "sn", "dn")).check())


def test_a_check_without_a_mapping_names_the_columns_alone(from_csv, from_ldif):
    assert "columns: id, name, mail" == list(from_csv(PEOPLE, select=()).check())[-1]
    assert "attributes: GivenName, entryUUID, mail, uid" == list(from_ldif(DIRECTORY, select=()).check())[-1]


def test_a_check_of_a_partial_file_names_the_bad_rows(from_csv, file):
    lines = list(from_csv(BAD, partial=True, delimiter=",").check())

    assert f"{file}: 2 good rows, 3 bad ones" == lines[0]
    assert "delimiter ','" == lines[1]
    assert 3 == sum(line.startswith(f"left out: {file}:") for line in lines)


def test_a_check_raises_what_a_read_would(from_csv):
    with pytest.raises(Denied):
        list(from_csv(BAD).check())


def test_the_scope_names_file_and_anchor(from_csv, from_ldif, file):
    assert f"csv {file} anchor id" == from_csv().scope()
    assert f"ldif {file} anchor entryuuid" == from_ldif().scope()


def test_the_constructor_touches_nothing(from_csv, from_ldif):
    from_csv()
    from_ldif()


@pytest.mark.parametrize(
    "options",
    [
        {"path": "relative.csv", "anchor": "id"},
        {"path": "/x", "anchor": "id", "delimeter": ","},
        {"path": "/x", "anchor": "id", "delimiter": "--"},
        {"path": "/x"},
        {"path": "/x", "anchor": "id", "max_entries": 0},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValidationError):
        CsvSource.Options(**options)


@pytest.mark.parametrize("model", [CsvSource.Options, LdifSource.Options])
def test_every_option_is_described(model):
    assert [] == [name for name, field in model.model_fields.items() if not field.description]
