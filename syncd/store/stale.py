"""What must still be true when a chunk of operations is applied (law 6); SQL, set-based over ``temp.chunk``."""

from __future__ import annotations

CURRENT = """CASE b.key WHEN 'disabled_by' THEN a.disabled_by
  WHEN 'deleted' THEN CASE WHEN a.deleted_at IS NULL THEN NULL ELSE 1 END
  ELSE json_extract(a.attributes, '$.' || b.key) END"""

# What must still be true, each with what it is for, as APPLY in ``statements``.
STALE = (
    (
        ("touch", "state"),
        f"""
        SELECT c.operation, 'account ' || c.account || ' has another ' || b.key || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation
          CROSS JOIN accounts a ON a.id = c.account AND a.revision IS NOT o.seen CROSS JOIN json_each(o.before) b
        WHERE c.kind <> 'add' AND c.touches AND {CURRENT} IS NOT b.value
        """,
    ),
    (
        ("update", "disable", "enable", "delete"),
        """
        SELECT c.operation, 'account ' || c.account || ' does not exist' FROM temp.chunk c
        WHERE c.kind <> 'add' AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = c.account)
        """,
    ),
    (
        ("make", "move"),
        """
        SELECT c.operation, o.anchor || ' is linked to account ' || l.account || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation
          CROSS JOIN links l ON l.connection = o.connection AND l.anchor = o.anchor
        WHERE (c.link_action = 'make' OR (c.link_action = 'move' AND l.id <> c.link))
          AND NOT (c.kind <> 'add' AND l.owner = 0
            AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = l.account AND a.deleted_at IS NOT NULL))
        """,
    ),
    (
        ("make",),
        """
        SELECT c.operation, 'account ' || l.account || ' is linked to ' || l.anchor || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation
          CROSS JOIN links l ON l.account = c.account AND l.connection = o.connection
        WHERE c.link_action = 'make' AND c.kind <> 'add'
        """,
    ),
    (
        ("keep", "move", "end", "drop", "restore"),
        """
        SELECT c.operation, 'its link is another by now' FROM temp.chunk c
        WHERE c.link_action IN ('keep','move','end','drop','restore') AND c.link IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM links l JOIN operations o ON o.id = c.operation
            WHERE l.id = c.link AND l.account = c.account AND l.connection = o.connection
              AND (l.anchor = o.anchor OR c.link_action = 'move')
              AND (l.owner = o.owner OR c.link_action <> 'drop'))
        """,
    ),
    (
        ("end", "drop", "restore"),
        """
        SELECT c.operation, 'its entry is ' || CASE WHEN l.gone_at IS NULL THEN 'there' ELSE 'gone' END || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation CROSS JOIN links l ON l.id = c.link
        WHERE c.link_action IN ('drop','restore') AND l.gone_at IS NOT o.gone_at
          OR c.link_action = 'end' AND l.gone_at IS NOT NULL
        """,
    ),
    # What a layer said when it was changed, of the words that an operation changes in it or changes back.
    (
        ("local", "drop"),
        """
        SELECT c.operation, 'a person says another ' || w.key || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation CROSS JOIN accounts a ON a.id = c.account
          CROSS JOIN json_each(o.replaced) w
        WHERE c.link_action IN ('local','drop') AND json_extract(a.local, '$.' || w.key) IS NOT w.value
        """,
    ),
    (
        ("end", "restore"),
        """
        SELECT c.operation, 'its link says another ' || w.key || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation CROSS JOIN links l ON l.id = c.link
          CROSS JOIN json_each(o.replaced) w
        WHERE c.link_action IN ('end','restore') AND json_extract(l.record, '$.' || w.key) IS NOT w.value
        """,
    ),
    (
        ("drop",),
        """
        SELECT c.operation, 'its link says another ' || w.key || ' by now'
        FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation CROSS JOIN links l ON l.id = c.link
          CROSS JOIN json_each(json_patch(l.record, o.record)) w
        WHERE c.link_action = 'drop' AND (l.record -> w.key) IS NOT (o.record -> w.key)
        """,
    ),
)
