"""The manual pages and the HTML documentation are made without a warning, say every command, and every link leads somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_world import environment

from syncd.cli import root

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page.relative_to(ROOT)
    for page in [
        *ROOT.glob("*.md"),
        *(page for folder in ("docs", "etc", "packaging", "plugins", "tests") for page in ROOT.glob(f"{folder}/**/*.md")),
    ]
)  # fmt: skip
FENCED = re.compile(r"^(```+|~~~+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def commands(group=root, words="syncd"):
    """Yield every command with the words that call it."""
    for name in group.lazy:
        command = group.get_command(click.Context(group), name)
        yield f"{words} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder into which all documentation was made, a warning being an error."""
    pytest.importorskip("sphinx", reason="the dependency group docs is not installed")
    folder = tmp_path_factory.mktemp("documentation")
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "build.py"), str(folder)],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    return folder


@pytest.fixture(scope="module")
def sections(built):
    """Each section of syncd(1), without the marks of roff."""
    text = re.sub(r"\\f[BIPR]|\\&", "", (built / "man" / "syncd.1").read_text("utf-8"))
    text = text.replace("\\-", "-").replace("\\(dq", '"')
    return dict(re.findall(r"^\.S[HS] ([^\n]+)\n(.*?)(?=^\.S[HS] |\Z)", text, re.MULTILINE | re.DOTALL))


class TestManualPages:
    def test_there_are_three_and_nothing_else(self, built):
        assert ["syncd-plugins.7", "syncd.1", "syncd.toml.5"] == sorted(
            path.name for path in (built / "man").iterdir()
        )

    def test_every_command_has_a_section_with_its_usage_and_options(self, sections):
        missing = []
        for words, command in commands():
            section = sections.get(words, "")
            options = [name for one in command.params for name in one.opts if name.startswith("-")]
            missing += [f"{words}: {name}" for name in (words, *options) if name not in section]

        assert [] == missing

    def test_options_of_syncd_itself_are_told_with_their_variables_and_defaults(self, sections):
        assert {"--config", "--state-directory", "--log-level", "--version", "--help"} == set(
            re.findall("--[a-z-]+", sections["OPTIONS"])
        )
        assert "Default: off. Also $SYNCD_LOG_LEVEL." in sections["OPTIONS"]

    def test_examples_are_told_as_they_are_written(self, sections):
        assert 'syncd queue discard 17 --why "a test account"' in sections["syncd queue discard"]

    def test_every_exit_code_of_the_commands_page_is_told(self, sections):
        page = (ROOT / "docs" / "commands.md").read_text("utf-8")
        section = page.partition("\n## Exit codes\n")[2].partition("\n## ")[0]
        documented = re.findall(r"^\| (\d+) \|", section, re.MULTILINE)

        assert documented == re.findall(r"^\.B (\d+)$", sections["EXIT STATUS"], re.MULTILINE)

    def test_what_is_included_has_sections_of_its_own(self, built):
        def headings(name):
            return re.findall(r"^\.SH (.+)$", (built / "man" / name).read_text("utf-8"), re.MULTILINE)

        assert [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "CONFIGURATION",
            "MAPPING AND RULES",
            "SEE ALSO",
        ] == headings("syncd.toml.5")
        assert ["NAME", "DESCRIPTION", "WRITING A PLUGIN", "PLUGIN HOOKS", "SEE ALSO"] == headings(
            "syncd-plugins.7"
        )

    @pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
    @pytest.mark.parametrize("name", ["syncd.1", "syncd.toml.5", "syncd-plugins.7"])
    def test_groff_has_nothing_to_warn_of(self, built, name):
        done = subprocess.run(
            ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", str(built / "man" / name)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip

        assert "" == done.stderr

    @pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
    def test_no_word_is_cut_at_the_end_of_a_line(self, built):
        done = subprocess.run(
            ["groff", "-man", "-Kutf8", "-Tutf8", "-P-cbou", str(built / "man" / "syncd.toml.5")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip

        assert [] == [line for line in done.stdout.splitlines() if line.endswith("\u2010")]
        assert "SYNCD_CONFIG" in done.stdout


def test_every_page_is_a_page_of_the_html(built):
    made = {path.relative_to(built / "html").with_suffix("") for path in (built / "html").rglob("*.html")}
    pages = {page.with_suffix("") for page in PAGES if page.parts[0] in {"docs", "plugins"}}

    assert set() == pages - made
    assert 'url=docs/index.html"' in (built / "html" / "index.html").read_text("utf-8")


def anchors(page):
    """Return what a forge names the headings of a page: small letters, dashes for blanks, no marks."""
    found = set()
    for heading in HEADING.findall(FENCED.sub("", (ROOT / page).read_text("utf-8"))):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = sum(1 for one in found if one == name or re.fullmatch(rf"{re.escape(name)}-\d+", one))
        found.add(f"{name}-{number}" if number else name)
    return found


def links(page):
    """Return the links of a page that lead to files."""
    text = re.sub(r"`[^`\n]+`", "``", FENCED.sub("", (ROOT / page).read_text("utf-8")))
    return [target for target in LINK.findall(text) if not re.match("[a-z]+:", target)]


def leads_nowhere(page, target):
    path, _, anchor = target.partition("#")
    place = (ROOT / page).parent / path if path else ROOT / page
    if not place.exists():
        return True
    return bool(anchor) and anchor not in anchors(place)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    assert [] == [target for target in links(page) if leads_nowhere(page, target)]


def test_a_link_that_leads_nowhere_is_found():
    assert "docs/commands.md" in links(Path("README.md"))
    assert leads_nowhere(Path("README.md"), "docs/nothing.md")
    assert leads_nowhere(Path("README.md"), "docs/commands.md#nothing")
    assert not leads_nowhere(Path("README.md"), "docs/commands.md#exit-codes")
