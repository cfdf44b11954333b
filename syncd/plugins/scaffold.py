"""Floor 5: a new plugin to begin with, which works and whose tests pass before a line of it is changed."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigError
from ..hookspecs import SYNCD_API
from .found import find
from .skeleton import FILES


def write(name: str, folder: Path) -> list[Path]:
    """Write an installable plugin called ``name`` into ``folder`` and return the files written.

    ``name`` becomes the Python package and the entry point: lower case, such as ``acme_hr``. Raises
    ConfigError if the name cannot be used or is taken, or if one of the files exists; nothing has been
    written then.
    """
    _check_name(name)
    words = {"PLUGIN": name, "TYPE": name.replace("_", "-"), "CLASS": _class(name), "API": str(SYNCD_API)}
    files = {folder / _filled(path, words): _filled(text, words) for path, text in FILES.items()}
    existing = sorted(str(path) for path in files if path.exists())
    if existing:
        raise ConfigError(
            [f"{path} exists already; choose another folder, or remove it" for path in existing]
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name) or keyword.iskeyword(name):
        raise ConfigError(f"{name!r} cannot name a plugin: use a-z, 0-9 and _, a letter first, as in acme_hr")
    installed, _ = find()
    for plugin in installed:
        if plugin.name == name:
            raise ConfigError(f"the plugin {name!r} exists already, in {plugin}; choose another name")
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise ConfigError(f"a Python module {name!r} is installed already; choose another name")


def _class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
