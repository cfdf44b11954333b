"""``python -m syncd`` is ``syncd``."""

from .cli import main

main()
