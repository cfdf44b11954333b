"""An extension of Sphinx: syncd(1) says what the commands say, and manual pages fit a terminal."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from syncd.cli import root

PAGE = "docs/man/syncd.1"
PLACE = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)
MEANING = re.compile("meaning|what it ")
WHOLE_WORDS = ".nr HY 0\n.nh\n.ad l\n"
"""No word is cut, as words are there to be copied; by the register, the end of an example does not take that back."""


def commands(group: click.Group = root, words: str = "syncd") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it, a group before what is in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{words} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")


def verbs() -> str:
    """Return a section of Markdown for each command; ``--help`` is told once, of syncd itself."""
    parts = []
    for words, command in commands():
        told = [option for option in options_of(command) if option.name != "help"]
        parts += [f"### {words}", usage(words, command), description(command), options(told)]
        parts += ["Examples:", examples(command)] if command.epilog else []
    return "\n\n".join(filter(None, parts))


def options_of(command: click.Command) -> list[click.Option]:
    """Return the options of a command that are shown."""
    every = command.get_params(click.Context(command, **command.context_settings))
    return [one for one in every if isinstance(one, click.Option) and not one.hidden]


def usage(words: str, command: click.Command) -> str:
    """Return how a command is called, as its own help says it."""
    pieces = command.collect_usage_pieces(click.Context(command))
    return f"**{words}** {plain(' '.join(pieces))}"


def description(command: click.Command) -> str:
    """Return what a command says of itself."""
    paragraphs = inspect.cleandoc(command.help or "").partition("\f")[0].split("\n\n")
    return "\n\n".join(literal(one[2:]) if one.startswith("\b\n") else plain(one) for one in paragraphs)


def options(told: list[click.Option]) -> str:
    """Return options as a list of definitions."""
    return "\n\n".join(f"{_names(one)}\n: {_meaning(one)}" for one in told)


def _names(option: click.Option) -> str:
    names = ", ".join(f"**{name}**" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return names
    return f"{names} *{plain(option.make_metavar(click.Context(click.Command(''))))}*"


def _meaning(option: click.Option) -> str:
    shown = option.show_default and option.default is not None and not option.is_flag
    default = f" Default: {plain(str(option.default))}." if shown else ""
    variable = f" Also **${option.envvar}**." if isinstance(option.envvar, str) else ""
    return plain(option.help or "") + default + variable


def examples(command: click.Command) -> str:
    """Return the examples of a command as they are written."""
    return literal((command.epilog or "").replace("\b", "").strip().partition("\n")[2])


def literal(text: str) -> str:
    """Return a text as a block that stays as it is."""
    return f"```text\n{inspect.cleandoc(text)}\n```"


def plain(text: str) -> str:
    """Return a text in which nothing is taken for Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", text)


PARTS = {
    "description": lambda: description(root),
    "options": lambda: options(options_of(root)),
    "examples": lambda: examples(root),
    "verbs": verbs,
}
"""What stands in syncd(1) as ``<!-- NAME -->``, and what comes there."""


def fill(app: Sphinx, page: str, text: list[str]) -> None:
    """Put what the commands say into syncd(1), and every page that no other one lists into the index."""
    if page == PAGE:
        text[0] = PLACE.sub(lambda found: PARTS[found[1]](), text[0])
    if page == app.config.root_doc:
        text[0] = PLACE.sub("\n".join(pages(Path(app.srcdir) / "docs")), text[0])


def pages(place: Path) -> list[str]:
    """Return the pages of a folder that stand in no list of pages, in the order of the alphabet."""
    lists = [*place.glob("man/*.md"), place / "index.md"]
    listed = {line.split("/")[-1] for one in lists for line in one.read_text("utf-8").splitlines()}
    return sorted(page.stem for page in place.glob("*.md") if page.stem not in listed | {"index"})


def folders(app: Sphinx, document: nodes.document) -> None:
    """Leave a link to a folder, which a forge can show and HTML cannot, as its text."""
    here = Path(app.srcdir, app.env.docname).parent
    for link in list(document.findall(addnodes.pending_xref)):
        if "/" in link["reftarget"] and (here / link["reftarget"]).is_dir():
            link.replace_self(link.children)


class ForTerminals(SphinxPostTransform):
    """Make of a manual page what fits a terminal of any width."""

    default_priority = 900
    builders = ("man",)

    def run(self, **_: Any) -> None:
        """Tables become lists, links into other pages their text, and included pages sections of their own."""
        for table in list(self.document.findall(nodes.table)):
            table.replace_self(as_list(table))
        for link in list(self.document.findall(nodes.reference)):
            if not link.get("refuri", "").startswith("http"):
                link.replace_self(link.children)
        for page in reversed(list(self.document.findall(addnodes.start_of_file))):
            section = next(one for one in _around(page) if isinstance(one, nodes.section))
            page.parent.remove(page)
            section.parent.insert(section.parent.index(section) + 1, page.children)
        self.document[0].insert(0, nodes.raw("", WHOLE_WORDS, format="manpage"))


def _around(node: nodes.Node) -> Iterator[nodes.Element]:
    while node.parent is not None:
        node = node.parent
        yield node


def as_list(table: nodes.table) -> nodes.definition_list:
    """Return a list: the first cell of a row is the term, the others follow, each behind its heading."""
    headings = [entry.astext() for entry in next(table.findall(nodes.thead)).findall(nodes.entry)]
    found = nodes.definition_list()
    for row in next(table.findall(nodes.tbody)):
        term, *cells = [[child.deepcopy() for one in entry for child in one.children] for entry in row]
        told = [(heading, cell) for heading, cell in zip(headings[1:], cells, strict=True) if cell]
        if len(headings) == 2 or MEANING.match(headings[-1]):  # said first, and without its heading
            told = [("", cell) for _, cell in told[-1:]] + told[:-1]
        said = nodes.paragraph()
        for heading, cell in told:
            said += [nodes.Text(("; " if said.children else "") + (heading and f"{heading}: ")), *cell]
        found += nodes.definition_list_item("", nodes.term("", "", *term), nodes.definition("", said))
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of all this."""
    app.connect("source-read", fill)
    app.connect("doctree-read", folders)
    app.add_post_transform(ForTerminals)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
