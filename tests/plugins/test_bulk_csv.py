"""The CSV reader."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd_bulk.csvfile import CsvFile, find_delimiter
from syncd_bulk.rows import BadFile, Caps


def table(data, delimiter=None, anchor=None, caps=Caps()):  # noqa: B008
    return CsvFile(io.BytesIO(data), delimiter, anchor, caps)


def refusal(data, **options):
    with pytest.raises(BadFile) as caught:
        list(table(data, **options))
    return caught.value


GOOD = [
    ("plain", b"id,name\n1,a\n", [(2, ["1", "a"])]),
    ("byte order mark", b"\xef\xbb\xbfid,name\r\n1,a\r\n", [(2, ["1", "a"])]),
    ("mark and a quoted header", b'\xef\xbb\xbf"id","name"\n1,a\n', [(2, ["1", "a"])]),
    ("semicolons", b"id;name\n1;a,b\n", [(2, ["1", "a,b"])]),
    ("tabs", b"id\tname\n1\ta b\n", [(2, ["1", "a b"])]),
    ("bars", b"id|name\n1|a\n", [(2, ["1", "a"])]),
    ("quotes", b'id,name\n1,"a ""b"", c"\n', [(2, ["1", 'a "b", c'])]),
    ("lines in cells", b'id,name\n1,"a\r\nb\nc"\n2,d\n', [(2, ["1", "a\r\nb\nc"]), (5, ["2", "d"])]),
    ("empty lines and rows are none", b"id,name\n\n,\n1,a\n\r\n", [(4, ["1", "a"])]),
    ("blanks stay", b"id,name\n 1 , a\n", [(2, [" 1 ", " a"])]),
    ("UTF-8", "id,name\n1,ä𝄞\n".encode(), [(2, ["1", "ä𝄞"])]),
    ("header only", b"id,name\n", []),
    ("no last line end", b"id,name\n1,a", [(2, ["1", "a"])]),
]


@pytest.mark.parametrize(("data", "rows"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_good_files_are_read(data, rows):
    found = table(data)

    assert ("id", "name") == found.header
    assert [(line, cells, ()) for line, cells in rows] == [(row.line, row.cells, row.faults) for row in found]


REFUSED = [
    (b"", 1, "there is no header; the first line must name the columns", True),
    (b"\n\nid,name\n", 1, "there is no header; the first line must name the columns", True),
    (b"id,,name\n", 1, "column 2 has no name; name it, or delete the column", False),
    (b"id,name, id\n", 1, "stands twice (columns 1 and 3); rename or delete one of them", False),
    (b"name,mail\n", 1, "there is no such column, though it is the anchor; there are: name, mail", False),
    (b"id,n\xe4me\n", 1, "the header is not UTF-8; save the file as UTF-8", False),
    ("\ufeffid,name\n".encode("utf-16-be"), 1, "the file is UTF-16; save it as UTF-8", False),
    (b'id,name\n1,a\n2,"b\n3,c\n4,d\n', 3, "a quote that is opened in this row is never closed: the file is cut off, or a quote too many", True),
    (b'id,name\n1,a\n2,"b" c\n', 3, "text follows the closing quote of a cell; write a quote inside of a cell twice", False),
    (b"id,name\n1,a\0\n", 2, "the line holds a NUL; export the file anew, as UTF-8", False),
    (b"id,name\r1,a\r", 1, "a carriage return without a line feed; save the file with LF or CR LF line ends", False),
    (b"id,name\n1,a\n2,b\n3,c\n4,d\n", 5, "more than 3 rows; raise max_entries if that is right", False),
    (b"id,name\n1," + b"x" * 600 + b"\n", 2, "the line is longer than 500 bytes", False),
]  # fmt: skip


@pytest.mark.parametrize(("data", "line", "message", "torn"), REFUSED, ids=[case[2][:50] for case in REFUSED])
def test_a_file_whose_rows_cannot_be_known_is_refused_as_a_whole(data, line, message, torn):
    found = refusal(data, anchor="id", caps=Caps(value=200, line=500, entries=3))

    assert (line, message, torn) == (found.fault.line, found.fault.message, found.torn)


FAULTY = [
    (b"id,name\n1\n2,b\n", "f.csv:2: 1 cell where the header has 2; quote a cell that holds the delimiter, or write every cell, empty ones too"),
    (b"id,name\n1,a,b\n2,b\n", "f.csv:2: 3 cells where the header has 2; quote a cell that holds the delimiter, or write every cell, empty ones too"),
    (b"id,name\n1,\xe4\n2,b\n", "f.csv:2: name: the text is not UTF-8; save the file as UTF-8"),
    (b'id,name\n1,"\n\n\xe4"\n2,b\n', "f.csv:2: name: the text is not UTF-8; save the file as UTF-8"),
    (b"id,name\n1," + b"x" * 201 + b"\n2,b\n", "f.csv:2: name: the cell is longer than 200 bytes; see max_value_kib"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), FAULTY, ids=[case[1][:50] for case in FAULTY])
def test_a_bad_row_names_file_line_column_and_cure_and_the_next_is_good(data, message):
    bad, good = table(data, caps=Caps(value=200))

    assert [message] == [fault.at("f.csv") for fault in bad.faults]
    assert ["2", "b"] == good.cells
    assert () == good.faults


def test_a_forgotten_trailer_setting_is_guessed():
    *_, last = table(b"id,name\n1,a\n# end 1\n")

    assert (
        "1 cell where the header has 2; if this is the trailer, set complete = 'trailer'"
        == last.faults[0].message
    )


def test_a_cell_that_never_ends_is_refused_before_it_fills_the_memory():
    data = b'id,name\n1,"a\n' + b"xxxxxxxxx\n" * 200_000

    message = refusal(data).fault.message

    assert message.startswith("a cell is longer than 262144 bytes; is a quote missing?")


def test_a_row_of_the_wrong_width_is_known_to_be_shifted():
    assert [False, True] == [row.aligned for row in table(b"id,name\n1,a,b\n2,b\n")]


def test_a_cell_over_the_librarys_own_limit_is_read():
    (row,) = table(b"id,name\n1," + b"x" * 200_000 + b"\n")

    assert 200_000 == len(row.cells[1])


@pytest.mark.parametrize(
    ("header", "anchor", "delimiter"),
    [
        ("id,name", None, ","),
        ("id;name, first;mail", None, ";"),
        ("id;name, first", "id", ";"),
        ('"id, or so";name', None, ";"),
        ("id", None, ","),
        ("id\tname", None, "\t"),
    ],
)
def test_the_delimiter_is_found_in_the_header(header, anchor, delimiter):
    assert delimiter == find_delimiter(header, anchor)


def test_a_header_that_two_delimiters_divide_alike_asks_for_the_setting():
    assert (
        "',' and ';' divide the header equally well; set delimiter"
        == refusal(b"id,name;mail\n").fault.message
    )


def test_a_given_delimiter_is_not_guessed():
    assert ("id,name;mail",) == table(b"id,name;mail\n", delimiter="|").header


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(cells, min_size=3, max_size=3).filter(any), max_size=5), st.sampled_from(",;\t|"))
def test_what_is_written_is_read_back(rows, delimiter):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["id", "name", "mail"])
    writer.writerows(rows)

    found = table(text.getvalue().encode())

    assert rows == [row.cells for row in found]
    assert delimiter == found.delimiter


lumps = st.sampled_from(
    [b"id,name", b"1,a", b'"', b'""', b",", b";", b"\n", b"\r\n", b"\r", b"\xff", b"\0", b'"x"y', b" "]
)
noise = st.one_of(st.lists(lumps, max_size=12).map(b"".join), st.binary(max_size=40))


@settings(max_examples=400, deadline=None)
@given(noise)
def test_any_bytes_give_rows_or_the_one_documented_error(data):
    lines = range(1, data.count(b"\n") + 2)
    try:
        file = table(data)
        rows = list(file)
    except BadFile as error:
        refused = error.fault.line
    else:
        assert all(row.faults or len(file.header) == len(row.cells) for row in rows)
        refused = 1
    assert refused in lines


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100))
def test_a_file_cut_anywhere_never_has_other_rows_than_the_whole(cut):
    """Rows may be missing at the end (completeness is the source's affair), but none appears."""
    data = b'id,name\r\n1,"a, ""b"""\r\n2,"c\r\n9,fake\r\n"\r\n3,d\r\n'
    whole = [row.cells for row in table(data)]
    part = data[:cut]

    try:
        found = [row.cells for row in table(part) if not row.faults]
    except BadFile:
        return

    complete = found if part.endswith(b"\n") else found[:-1]
    assert whole[: len(complete)] == complete


def test_four_times_the_rows_take_about_four_times_as_long():
    def cost(count):
        data = b"id,name,mail\n" + b"".join(b'%d,"a ""b""",c\n' % n for n in range(count))
        started = time.process_time()
        assert count == sum(1 for _ in table(data))
        return time.process_time() - started

    cost(1000)
    assert cost(80_000) < 10 * max(cost(20_000), 0.01)
