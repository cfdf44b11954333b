#!/usr/bin/env python3
"""Make the manual pages (build/man) and the HTML documentation (build/html); a warning is an error.

    docs/build.py            into build/
    docs/build.py FOLDER     into FOLDER/

It needs syncd and the dependency group "docs": pip install --editable . --group docs
"""

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

ROOT = Path(__file__).parent.parent
START = '<!DOCTYPE html><meta http-equiv="refresh" content="0; url=docs/index.html"><title>syncd</title>\n'


def main(place: Path) -> int:
    """Build both; return the exit code.

    All is read anew: Sphinx cannot know that a command has changed. What was read is then shared.
    """
    read = place / "doctrees"
    shutil.rmtree(read, ignore_errors=True)
    for builder in ("man", "html"):
        words = ["-q", "-W", "--keep-going", "-b", builder, "-c", ROOT / "docs", "-d", read]
        if code := build_main([*map(str, words), str(ROOT), str(place / builder)]):
            return code
    (place / "html" / "index.html").write_text(START, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build"))
