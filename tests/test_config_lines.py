"""The index of lines says for every key where it really stands."""

import json
import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.config.lines import key_lines

EXAMPLE = '''\
# [no.table]
top = 1
a.b.c = """
[no.table]
x = "\\""" # no comment"""   # a comment
"quo.ted" = 'lit#eral'
[table]
list = [ # begin
  1,
  "]", '''

REST = """
  { k = 1, m = [ 2,
    3 ] }, # end
]
empty = []
inline = { }

[[array]]
when = 1979-05-27 07:32:00
[[array]]
[array.sub."x y"]
v = { a.b = '''
''' }
[[array.deep]]
"""


def test_every_form_of_a_key_has_its_line():
    assert {
        ("top",): 2,
        ("a",): 3,
        ("a", "b"): 3,
        ("a", "b", "c"): 3,
        ("quo.ted",): 6,
        ("table",): 7,
        ("table", "list"): 8,
        ("table", "list", 0): 9,
        ("table", "list", 1): 10,
        ("table", "list", 2): 11,
        ("table", "list", 2, "k"): 11,
        ("table", "list", 2, "m"): 11,
        ("table", "list", 2, "m", 0): 11,
        ("table", "list", 2, "m", 1): 12,
        ("table", "empty"): 14,
        ("table", "inline"): 15,
        ("array",): 17,
        ("array", 0): 17,
        ("array", 0, "when"): 18,
        ("array", 1): 19,
        ("array", 1, "sub"): 20,
        ("array", 1, "sub", "x y"): 20,
        ("array", 1, "sub", "x y", "v"): 21,
        ("array", 1, "sub", "x y", "v", "a"): 21,
        ("array", 1, "sub", "x y", "v", "a", "b"): 21,
        ("array", 1, "deep"): 23,
        ("array", 1, "deep", 0): 23,
    } == key_lines(EXAMPLE + REST)


@pytest.mark.parametrize("text", ["a = [1", "a = ", "a = [ } ]", "= 1", "[", "a = {b", 'a = "x'])
def test_what_is_no_toml_ends_in_an_error(text):
    with pytest.raises(ValueError, match="not valid TOML"):
        key_lines(text)


KEYS = st.text(st.sampled_from("abcXYZ019-_ .#\"'[]{}=,\\\t\nüßИ☎"), min_size=0, max_size=6)
TEXTS = st.text(st.sampled_from("ab \"'#[]{}=,\\\n\tü☎"), max_size=12)
GAPS = st.sampled_from(["", " ", "\t ", "\n", " # ]}\"'\n", "\n\n  "])


class Page:
    """A TOML text that is being written, and the line of every key in it."""

    def __init__(self, data):
        self.data = data
        self.text = ""
        self.lines = {}

    def draw(self, strategy):
        return self.data.draw(strategy)

    def note(self, path):
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, path):
        """Write one part of a key in one of the ways that there are."""
        key = path[-1]
        ways = [json.dumps(key, ensure_ascii=False)]
        if re.fullmatch("[A-Za-z0-9_-]+", key):
            ways.append(key)
        if not re.search("['\n]", key):
            ways.append(f"'{key}'")
        self.text += self.draw(st.sampled_from(ways))

    def keys(self, path, count):
        """Write the last ``count`` parts of a path as a dotted key."""
        for length in range(len(path) - count + 1, len(path) + 1):
            self.note(path[:length])
            if length > len(path) - count + 1:
                self.text += self.draw(st.sampled_from([".", " . "]))
            self.key(path[:length])

    def value(self, path, depth, inline=False):
        kind = self.draw(
            st.sampled_from(["text", "scalar", "array", "table"] if depth else ["text", "scalar"])
        )
        if kind == "text":
            self.string(inline)
        elif kind == "scalar":
            scalars = ["1", "-2.5", "true", "1979-05-27", "1979-05-27 07:32:00", "0x1f", "inf"]
            self.text += self.draw(st.sampled_from(scalars))
        elif kind == "array":
            self.array(path, depth, inline)
        else:
            self.inline_table(path, depth)

    def string(self, inline):
        text = self.draw(TEXTS)
        ways = [json.dumps(text, ensure_ascii=False)]
        if not inline:
            ways.append('"""' + text.replace("\\", "\\\\").replace('"""', '""\\"').rstrip('"') + '"""')
        if not re.search("['\n]", text):
            ways.append(f"'{text}'")
        self.text += self.draw(st.sampled_from(ways))

    def array(self, path, depth, inline):
        self.text += "["
        for place in range(self.draw(st.integers(0, 3))):
            self.text += "" if inline else self.draw(GAPS)
            self.note((*path, place))
            self.value((*path, place), depth - 1, inline)
            self.text += "" if inline else self.draw(GAPS)
            self.text += ","
        self.text += ("" if inline else self.draw(GAPS)) + "]"

    def inline_table(self, path, depth):
        self.text += "{ "
        for place, key in enumerate(self.draw(st.lists(KEYS, unique=True, max_size=3))):
            self.text += ", " if place else ""
            self.pair((*path, key), depth - 1, inline=True)
        self.text += " }"

    def pair(self, path, depth, inline=False):
        inner = self.draw(st.lists(KEYS, max_size=2))
        self.keys((*path, *inner), 1 + len(inner))
        self.text += self.draw(st.sampled_from(["=", " = "]))
        self.value((*path, *inner), depth, inline)

    def table(self, path):
        for key in self.draw(st.lists(KEYS, unique=True, max_size=3)):
            self.text += self.draw(st.sampled_from(["", "  ", "# a = [\n", "\n"]))
            self.pair((*path, key), 3)
            self.text += self.draw(st.sampled_from(["\n", "  # b = {\n", "\r\n"]))

    def header(self, path):
        self.text += "["
        self.keys(path, len(path))
        self.text += "]\n"
        self.table(path)

    def array_of_tables(self, name):
        for place in range(self.draw(st.integers(1, 3))):
            self.note((name,))
            self.note((name, place))
            self.text += "[["
            self.key((name,))
            self.text += "]]\n"
            self.table((name, place))


@given(st.data())
@settings(max_examples=150)
def test_the_line_of_a_key_is_where_it_was_written(data):
    page = Page(data)
    names = data.draw(st.lists(KEYS, unique=True, min_size=1, max_size=6))
    first, *names = names
    page.pair((first,), 3)
    page.text += "\n"
    for name in names:
        if data.draw(st.booleans()):
            page.header((name, *data.draw(st.lists(KEYS, max_size=2))))
        else:
            page.array_of_tables(name)

    tree = tomllib.loads(page.text)
    found = key_lines(page.text)
    assert page.lines == found
    assert set(paths_of(tree)) == set(found)


def paths_of(value, path=()):
    """Yield the path of everything that tomllib read."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from paths_of(inner, (*path, key))
