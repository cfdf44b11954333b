"""What holds for every test: hypothesis without a stopwatch, and files that only their owner can read."""

import os

from hypothesis import settings

settings.register_profile("syncd", deadline=None, print_blob=True)
settings.load_profile("syncd")

os.umask(0o077)
