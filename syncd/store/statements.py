"""The SQL that applies a chunk of operations; every statement is set-based over ``temp.chunk``."""

from __future__ import annotations

from .telephones import alike

CREATE = """
  CREATE TEMP TABLE IF NOT EXISTS chunk (operation INTEGER PRIMARY KEY, kind TEXT, link_action TEXT, account INTEGER,
    link INTEGER, undoes INTEGER, touches INTEGER, state_touched INTEGER)
"""
COLUMNS = """o.id, o.kind, o.link_action, o.account, o.link, o.undoes, o.after <> '{}',
  instr(o.after, '"disabled_by"') > 0 OR instr(o.after, '"deleted"') > 0"""

# What an operation makes a layer say, of the words that it changes: ``replaced`` leads back from there.
PATCH = "(SELECT json_group_object(w.key, o.record -> w.key) FROM json_each(o.replaced) w)"

# What a person should know of the entry: the reasons that hold nothing.
WARNED = """CASE WHEN instr(o.reasons, '"warning"') THEN (SELECT NULLIF(json_group_array(json(w.value)), '[]')
  FROM json_each(o.reasons) w WHERE json_extract(w.value, '$[3]') = 'warning') END"""

# The links that entries leave, as STALE in ``stale`` lets them.
LEFT = """SELECT l.id FROM temp.chunk c CROSS JOIN operations o ON o.id = c.operation
  CROSS JOIN links l ON l.connection = o.connection AND l.anchor = o.anchor AND l.account <> c.account
  WHERE c.link_action = '{}' AND c.kind <> 'add'"""

# Each statement with the kind or link action that it is for; one that nothing in the chunk needs is left out.
APPLY = (
    # What is new: an account is named by the operation that adds it.
    (
        "add",
        """
        INSERT INTO accounts (id, enterprise, kind, attributes, template, disabled_by, created_at, changed_at,
          revision)
        SELECT o.account, :enterprise, o.account_kind,
          CASE WHEN c.state_touched THEN json_remove(o.after, '$.disabled_by') ELSE o.after END, o.template,
          CASE WHEN c.state_touched THEN json_extract(o.after, '$.disabled_by') END, :now, :now, o.id
        FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE c.kind = 'add'
        """,
    ),
    # An entry that joins another account leaves the deleted one, which keeps what was said of it.
    *(
        (action, statement)
        for action in ("make", "move")
        for statement in (
            f"""
            UPDATE accounts SET local = NULLIF(json_patch((SELECT json_group_object(w.key, l.record -> w.key)
                FROM json_each(l.record) w WHERE accounts.attributes -> w.key IS l.record -> w.key
                  OR (w.value IN ('','[]') AND accounts.attributes -> w.key IS NULL)), COALESCE(local, '{{}}')), '{{}}')
            FROM links l WHERE l.account = accounts.id AND l.id IN ({LEFT.format(action)})
            """,
            f"DELETE FROM links WHERE id IN ({LEFT.format(action)})",
        )
    ),
    (
        "make",
        f"""
        INSERT INTO links (connection, anchor, account, owner, record, enabled, fingerprint, missing_since, gone_at,
          warnings)
        SELECT o.connection, o.anchor, o.account, o.owner, o.record, o.enabled, o.fingerprint, o.gone_at, o.gone_at,
          {WARNED}
        FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE c.link_action = 'make'
        """,
    ),
    # What is touched, and nothing else.
    (
        "touch",
        """
        UPDATE accounts SET attributes = json_patch(attributes, o.after), changed_at = :now,
          revision = o.id
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.kind <> 'add' AND c.touches AND NOT c.state_touched
        """,
    ),
    (
        "state",
        """
        UPDATE accounts SET
          attributes = json_remove(json_patch(attributes, o.after), '$.disabled_by', '$.deleted'),
          disabled_by = CASE WHEN json_type(o.after, '$.disabled_by') IS NULL THEN disabled_by
            ELSE json_extract(o.after, '$.disabled_by') END,
          deleted_at = CASE WHEN json_type(o.after, '$.deleted') IS NULL THEN deleted_at
            WHEN json_extract(o.after, '$.deleted') THEN :now ELSE NULL END,
          changed_at = :now, revision = o.id
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.kind <> 'add' AND c.state_touched
        """,
    ),
    (
        "local",
        f"""
        UPDATE accounts SET local = NULLIF(json_patch(COALESCE(local, '{{}}'), {PATCH}), '{{}}')
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.link_action = 'local'
        """,
    ),
    (
        "keep",
        f"""
        UPDATE links SET record = o.record, enabled = o.enabled, fingerprint = o.fingerprint,
          missing_since = NULL, reads_missed = 0, gone_at = NULL, warnings = {WARNED}
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'keep'
        """,
    ),
    (
        "move",
        f"""
        UPDATE links SET anchor = o.anchor, record = o.record, enabled = o.enabled, fingerprint = o.fingerprint,
          missing_since = NULL, reads_missed = 0, gone_at = NULL, warnings = {WARNED}
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'move'
        """,
    ),
    (
        "end",
        # Never in the same second as another entry of the account: which of its owners was the last one counts.
        f"""
        UPDATE links SET record = json_patch(links.record, {PATCH}), fingerprint = NULL, warnings = NULL,
          missing_since = COALESCE(missing_since, :now),
          gone_at = COALESCE(o.gone_at, MAX(:now, COALESCE(
            (SELECT strftime('%Y-%m-%dT%H:%M:%SZ', MAX(x.gone_at), '+1 second') FROM links x
             WHERE x.account = links.account), '')))
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'end'
        """,
    ),
    (
        "restore",
        f"""
        UPDATE links SET record = json_patch(links.record, {PATCH}), gone_at = NULL, missing_since = NULL,
          reads_missed = 0,
          fingerprint = CASE (SELECT u.link_action FROM operations u WHERE u.id = c.undoes)
            WHEN 'move' THEN links.fingerprint END
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.link = links.id AND c.link_action = 'restore'
        """,
    ),
    (
        "drop",
        "DELETE FROM links WHERE id IN (SELECT link FROM temp.chunk WHERE link_action = 'drop')",
    ),
    # What only the dropped link said is a person's word from then on; the undoing makes the link say it again.
    (
        "drop",
        """
        UPDATE accounts SET local = json_patch(COALESCE(local, '{}'),
          (SELECT json_group_object(w.key, o.after -> w.key) FROM json_each(o.replaced) w))
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.link_action = 'drop' AND o.replaced IS NOT NULL
        """,
    ),
    (
        "undoes",
        """
        UPDATE accounts SET local = NULLIF(json_patch(COALESCE(local, '{}'), o.replaced), '{}')
        FROM temp.chunk c JOIN operations o ON o.id = c.operation
        WHERE c.account = accounts.id AND c.link_action = 'make' AND o.replaced IS NOT NULL
        """,
    ),
    # A policy touches no account: its platform looks at the account again.
    (
        "policy",
        """
        INSERT INTO remotes (platform, account, wanted)
        SELECT json_extract(o.record, '$.platform'), c.account, c.operation
        FROM temp.chunk c JOIN operations o ON o.id = c.operation WHERE c.link_action = 'policy'
        ON CONFLICT (platform, account) DO UPDATE SET
          wanted = excluded.wanted, state = 'pending', attempts = 0, next_try = NULL, message = NULL
        """,
    ),
    # Keys: a freed one stays releasing until every remote of its account has confirmed.
    (
        "frees",
        """
        INSERT OR REPLACE INTO keys (attribute, folded, enterprise, releasing, account)
        SELECT f.attribute, f.folded, :enterprise, c.account, c.account
        FROM temp.chunk c JOIN temp.claims f ON f.operation = c.operation
        WHERE f.gain = 0 AND EXISTS (SELECT 1 FROM remotes r WHERE r.account = c.account)
        """,
    ),
    (
        "frees",
        """
        DELETE FROM keys WHERE releasing = 0 AND enterprise = :enterprise AND (attribute, folded, account) IN
          (SELECT f.attribute, f.folded, c.account
           FROM temp.chunk c JOIN temp.claims f ON f.operation = c.operation WHERE f.gain = 0)
        """,
    ),
    (
        "gains",
        """
        INSERT OR REPLACE INTO keys (attribute, folded, enterprise, account)
        SELECT f.attribute, f.folded, :enterprise, c.account
        FROM temp.claims f JOIN temp.chunk c ON c.operation = f.operation
        WHERE f.gain = 1 AND f.operation BETWEEN :low AND :high
        """,
    ),
    (
        "undoes",
        "UPDATE operations SET undone_by = c.operation FROM temp.chunk c WHERE operations.id = c.undoes",
    ),
    # What a source proposed and was undone is not proposed again; unless that is undone in its turn.
    (
        "undoes",
        """
        INSERT INTO decisions (connection, anchor, digest, verb, who, at, why, run, operation)
        SELECT u.connection, u.anchor, u.digest, 'undo', r.actor, :now, r.why, r.id, u.id
        FROM temp.chunk c JOIN operations u ON u.id = c.undoes JOIN runs r ON r.id = :run
          JOIN runs w ON w.id = u.run
        WHERE u.connection IS NOT NULL AND u.undoes IS NULL AND w.kind IN ('sync','release')
        """,
    ),
    # What takes back the undoing of an undoing is an undoing again, and decides the same.
    (
        "undoes",
        """
        INSERT INTO decisions (connection, anchor, digest, verb, who, at, why, run, operation)
        SELECT d.connection, d.anchor, d.digest, 'undo', r.actor, :now, r.why, r.id, u.id
        FROM temp.chunk c JOIN operations u ON u.id = c.undoes JOIN operations v ON v.id = u.undoes
          JOIN decisions d ON d.operation = v.undoes AND d.verb = 'undo' JOIN runs r ON r.id = :run
        """,
    ),
    (
        "undoes",
        """
        UPDATE decisions SET ended_at = :now WHERE verb = 'undo' AND ended_at IS NULL AND operation IN
          (SELECT u.undoes FROM temp.chunk c JOIN operations u ON u.id = c.undoes)
        """,
    ),
    # An entry that was ignored with the operation is not when that is undone, and is again when that is.
    (
        "undoes",
        """
        UPDATE decisions SET ended_at = :now WHERE verb = 'ignore' AND ended_at IS NULL
          AND operation IN (SELECT undoes FROM temp.chunk)
        """,
    ),
    (
        "undoes",
        """
        INSERT INTO decisions (connection, anchor, verb, who, at, why, run, operation)
        SELECT d.connection, d.anchor, d.verb, r.actor, :now, r.why, r.id, c.operation
        FROM temp.chunk c JOIN operations u ON u.id = c.undoes
          JOIN decisions d ON d.operation = u.undoes AND d.verb = 'ignore' JOIN runs r ON r.id = :run
        """,
    ),
)

# Who wants a key that another account holds, now that what was stale is out of the chunk.
CONTESTED = f"""
  SELECT c.operation, k.attribute, f.folded, k.account
  FROM temp.chunk c JOIN temp.claims f ON f.operation = c.operation
    JOIN keys k ON k.attribute IN {alike("f.attribute")} AND k.folded = f.folded AND k.enterprise = :enterprise
      AND k.releasing = 0
  WHERE f.gain = 1 AND k.account <> c.account AND NOT EXISTS
    (SELECT 1 FROM temp.claims h JOIN temp.chunk g ON g.operation = h.operation
     WHERE h.gain = 0 AND h.attribute = k.attribute AND h.folded = f.folded AND g.account = k.account)
"""

WANT = """
  INSERT INTO remotes (platform, account, wanted) SELECT ?, c.account, c.operation FROM temp.chunk c WHERE c.touches
  ON CONFLICT (platform, account) DO UPDATE SET
    wanted = excluded.wanted, state = 'pending', attempts = 0, next_try = NULL, message = NULL
"""

NEXT = f"""
  INSERT INTO temp.chunk SELECT {COLUMNS} FROM operations o
  WHERE o.run = :run AND o.state = 'planned' AND o.id > :after ORDER BY o.id LIMIT :most
"""
# Operations that hand a key to each other are applied together, however many they are.
EXCHANGING = f"""
  INSERT INTO temp.chunk SELECT {COLUMNS} FROM operations o WHERE o.id IN (
  SELECT o.id FROM temp.claims c JOIN operations o ON o.id = c.operation
    JOIN keys k ON k.attribute = c.attribute AND k.folded = c.folded AND k.enterprise = :enterprise
      AND k.releasing = 0
  WHERE o.run = :run AND o.state = 'planned' AND c.gain = 1 AND k.account <> o.account AND :most
  UNION
  SELECT g.id FROM temp.claims c JOIN operations o ON o.id = c.operation
    JOIN temp.claims f ON f.attribute = c.attribute AND f.folded = c.folded AND f.gain = 0
    JOIN operations g ON g.id = f.operation
  WHERE o.run = :run AND o.state = 'planned' AND g.state = 'planned' AND c.gain = 1 AND g.id <> o.id)
"""
