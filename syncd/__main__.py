"""The process ``syncd``: what the console script calls, and ``python -m syncd``."""

import gc


def main() -> None:
    """Run ``syncd``."""
    # Starting makes thousands of objects that stay; looking for garbage among them costs a tenth of it.
    gc.disable()

    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
