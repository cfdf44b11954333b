"""What Sphinx has to know: the Markdown of the whole repository is its source, and this folder its settings."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "syncd"
author = ""
version = release = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser", "manual"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "plugins/*/README.md"]
exclude_patterns = [".*", "build", "dist", "syncd-demo"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
smartquotes = False  # "--json" stays what has to be typed
highlight_language = "none"
suppress_warnings = ["toc.empty_glob"]

html_theme = "furo"
html_title = f"syncd {release}"
html_copy_source = False

man_pages = [
    ("docs/man/syncd.1", "syncd", "keep the accounts of communication platforms equal to a company's records", "", 1),
    ("docs/man/syncd.toml.5", "syncd.toml", "the configuration of syncd", "", 5),
    ("docs/man/syncd-plugins.7", "syncd-plugins", "how plugins of syncd are written", "", 7),
]  # fmt: skip
