"""Floor 6: the line, and what people ask of it.

``installation`` puts the configuration, the plugins and the database together; ``line`` is the way of
one run; ``queue``, ``people`` and ``undoing`` are what a person can decide; ``explaining`` answers why.
"""
