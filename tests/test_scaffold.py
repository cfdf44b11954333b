"""A generated plugin works before a line of it is changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from syncd import ConfigError
from syncd.plugins import load
from syncd.plugins.scaffold import write


def run(folder, *command):
    """Run a Python tool in ``folder``; return its exit code and what it said."""
    environment = {**os.environ, "NO_COLOR": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def installed(folder, name):
    """Write what an installation leaves beside the code, with the entry point of its pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    info = folder / "src" / f"{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name.replace('_', '-')}\nVersion: 0.1.0\n")
    entries = project["project"]["entry-points"]["syncd"]
    lines = [f"{word} = {value}\n" for word, value in entries.items()]
    (info / "entry_points.txt").write_text("".join(["[syncd]\n", *lines]))


class TestAGeneratedPlugin:
    def test_passes_its_own_tests(self, tmp_path):
        """As generated, nothing installed, warnings being errors."""
        write("acme_badges", tmp_path)
        code, said = run(tmp_path, "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")

        assert 0 == code, said
        assert re.search(r"^\d\d passed, \d skipped in", said, re.MULTILINE), said

    @pytest.mark.skipif(shutil.which("ruff", path=Path(sys.executable).parent) is None, reason="no ruff")
    def test_is_clean_and_formatted(self, tmp_path):
        write("acme_badges", tmp_path)

        assert (0, "All checks passed!\n") == run(tmp_path, "ruff", "check", "--no-cache", ".")
        assert 0 == run(tmp_path, "ruff", "format", "--no-cache", "--check", ".")[0]

    def test_is_loaded_by_syncd(self, tmp_path, monkeypatch):
        """With the entry point of its pyproject.toml, as an installation would write it."""
        write("acme_loaded", tmp_path)
        installed(tmp_path, "acme_loaded")
        monkeypatch.syspath_prepend(str(tmp_path / "src"))
        plugins = load(["acme-loaded"], ["acme_loaded"])
        sys.modules.pop("acme_loaded")

        assert () == plugins.failures
        assert "AcmeLoadedSource" == plugins.sources["acme-loaded"].__name__
        assert "AcmeLoadedPlatform" == plugins.platforms["acme-loaded"].__name__

    def test_works_with_the_configuration_that_its_readme_shows(self, tmp_path):
        write("acme_shown", tmp_path)
        installed(tmp_path, "acme_shown")
        (tmp_path / "accounts").mkdir()
        (tmp_path / "people.txt").write_text("4711;Ada Lovelace;ada@acme.example\nend\n")
        readme = (tmp_path / "README.md").read_text().partition("syncd.toml`:")[2].partition("##")[0]
        text = textwrap.dedent(readme).replace("/srv", str(tmp_path))
        (tmp_path / "syncd.toml").write_text(f'state_directory = "{tmp_path}/state"\n{text}')
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")},
            "PYTHONPATH": str(tmp_path / "src"),
            "SYNCD_CONFIG": str(tmp_path / "syncd.toml"),
        }
        for code, *words in ((0, "check", "--connect"), (3, "sync"), (0, "apply", "1", "--yes")):
            command = [sys.executable, "-c", "from syncd.cli import main; main()", *words]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert code == ran.returncode, ran.stdout + ran.stderr

        (file,) = (tmp_path / "accounts").iterdir()
        expected = {"login": "ada@acme.example", "name": "Ada Lovelace"}
        assert expected == json.loads(file.read_text())["fields"]

    def test_has_all_its_files_filled_in(self, tmp_path):
        written = write("acme_badges", tmp_path / "new")

        assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
        assert [] == [path for path in written if "@" in str(path) or re.search("@[A-Z]+@", path.read_text())]


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", "a", "Acme", "acme-hr", "1acme", "acme hr", "acme_", "../acme", "class"]
    )
    def test_what_is_no_name_is_refused(self, tmp_path, name):
        with pytest.raises(ConfigError, match="cannot name a plugin: use a-z, 0-9 and _"):
            write(name, tmp_path)

        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "cause"),
        [
            ("syncd_ldap", "the plugin 'syncd_ldap' exists already, in syncd "),
            ("email", "a Python module 'email' is installed already"),
            ("pluggy", "a Python module 'pluggy' is installed already"),
        ],
    )
    def test_what_is_taken_is_refused(self, tmp_path, name, cause):
        with pytest.raises(ConfigError, match=cause):
            write(name, tmp_path)

        assert [] == list(tmp_path.iterdir())

    def test_nothing_is_overwritten(self, tmp_path):
        """One file in the way, and none is written."""
        (tmp_path / "README.md").write_text("mine")
        with pytest.raises(ConfigError, match=r"README\.md exists already; choose another folder"):
            write("acme_badges", tmp_path)

        assert [("README.md", "mine")] == [(path.name, path.read_text()) for path in tmp_path.iterdir()]
