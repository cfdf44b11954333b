"""What holds for every test: hypothesis without a stopwatch, and files that only their owner can read."""

import os

from hypothesis import settings

# The same examples every time, so that a change is judged by what it changes; SYNCD_EXPLORE=1 looks for new ones.
settings.register_profile(
    "syncd", deadline=None, print_blob=True, derandomize="SYNCD_EXPLORE" not in os.environ
)
settings.load_profile("syncd")

os.umask(0o077)
