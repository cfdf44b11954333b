"""The tables, from the first version on; ``docs/database.md`` explains every one of them.

A migration is never edited after its release: a change is a new one.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

MIGRATIONS = Migrations("syncd")

_TABLES = """
CREATE TABLE connections (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  enterprise TEXT NOT NULL,
  type TEXT NOT NULL,
  cursor TEXT,
  scope TEXT,
  sizes TEXT NOT NULL DEFAULT '[]',
  trusted_since TEXT,
  formerly TEXT,
  retired_at TEXT
) STRICT;

CREATE TABLE runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  connection INTEGER REFERENCES connections(id),
  enterprise TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('sync','manual','release','undo','policy','retire')),
  mode TEXT NOT NULL CHECK (mode IN ('full','incremental','none')),
  state TEXT NOT NULL CHECK (state IN
    ('reading','planned','held','applying','ended','failed','superseded')),
  actor TEXT NOT NULL,
  why TEXT,
  started_at TEXT NOT NULL,
  planned_at TEXT,
  ended_at TEXT,
  cursor TEXT,
  scope TEXT,
  plan_hash TEXT,
  entries INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0,
  counts TEXT NOT NULL DEFAULT '{}',
  objections TEXT NOT NULL DEFAULT '[]',
  approved TEXT,
  undoes INTEGER REFERENCES runs(id),
  same_as INTEGER REFERENCES runs(id),
  error TEXT
) STRICT;
CREATE INDEX runs_open ON runs(connection) WHERE state IN ('reading','planned','held','applying');
CREATE INDEX runs_ended ON runs(connection, ended_at);
CREATE INDEX runs_undoing ON runs(undoes) WHERE undoes IS NOT NULL;
CREATE INDEX runs_sync ON runs(connection, mode) WHERE kind = 'sync';

CREATE TABLE operations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES runs(id),
  connection INTEGER REFERENCES connections(id),
  anchor TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('add','update','disable','enable','delete')),
  account INTEGER,
  account_kind TEXT NOT NULL DEFAULT 'user',
  link INTEGER,
  link_action TEXT NOT NULL,
  record TEXT,
  replaced TEXT,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  template TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  owner INTEGER NOT NULL DEFAULT 1,
  fingerprint BLOB,
  state TEXT NOT NULL CHECK (state IN
    ('planned','applied','detained','failed','waiting','discarded','superseded')),
  reasons TEXT,
  digest BLOB NOT NULL,
  seen INTEGER,
  gone_at TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_try TEXT,
  origin INTEGER,
  undoes INTEGER,
  undone_by INTEGER,
  changed_at TEXT
) STRICT;
CREATE INDEX operations_run ON operations(run);
CREATE INDEX operations_account ON operations(account);
CREATE INDEX operations_open ON operations(connection, anchor, state)
  WHERE state IN ('detained','failed','waiting');

CREATE TABLE accounts (
  id INTEGER PRIMARY KEY,
  enterprise TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('user','contact')),
  attributes TEXT NOT NULL,
  template TEXT,
  local TEXT,
  disabled_by TEXT CHECK (disabled_by <> ''),
  deleted_at TEXT,
  created_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  revision INTEGER NOT NULL,
  login TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.login')) VIRTUAL,
  email TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.email')) VIRTUAL,
  extension TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.extension')) VIRTUAL,
  display_name TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.display_name')) VIRTUAL,
  department TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.department')) VIRTUAL,
  location TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.location')) VIRTUAL,
  role TEXT GENERATED ALWAYS AS (json_extract(attributes, '$.role')) VIRTUAL,
  active INTEGER GENERATED ALWAYS AS (disabled_by IS NULL AND deleted_at IS NULL) VIRTUAL
) STRICT;
CREATE INDEX accounts_deleted ON accounts(id) WHERE deleted_at IS NOT NULL;
CREATE INDEX accounts_unlicensed ON accounts(disabled_by) WHERE disabled_by = 'licence';

CREATE TABLE links (
  id INTEGER PRIMARY KEY,
  connection INTEGER NOT NULL REFERENCES connections(id),
  anchor TEXT NOT NULL,
  account INTEGER NOT NULL REFERENCES accounts(id),
  owner INTEGER NOT NULL,
  record TEXT NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1,
  fingerprint BLOB,
  missing_since TEXT,
  reads_missed INTEGER NOT NULL DEFAULT 0,
  gone_at TEXT,
  warnings TEXT,
  UNIQUE (connection, anchor)
) STRICT;
CREATE INDEX links_fingerprint ON links(connection, fingerprint);
CREATE INDEX links_account ON links(account);
CREATE INDEX links_leaving ON links(connection, gone_at, missing_since) WHERE missing_since IS NOT NULL;
CREATE INDEX links_enriching ON links(connection) WHERE owner = 0;
CREATE INDEX links_warned ON links(connection) WHERE warnings IS NOT NULL;

CREATE TABLE keys (
  attribute TEXT NOT NULL,
  folded TEXT NOT NULL,
  enterprise TEXT NOT NULL,
  releasing INTEGER NOT NULL DEFAULT 0,
  account INTEGER NOT NULL,
  PRIMARY KEY (attribute, folded, enterprise, releasing)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_releasing ON keys(releasing) WHERE releasing <> 0;

CREATE TABLE remotes (
  platform TEXT NOT NULL,
  account INTEGER NOT NULL REFERENCES accounts(id),
  remote_id TEXT,
  wanted INTEGER NOT NULL,
  done INTEGER NOT NULL DEFAULT 0,
  delivered TEXT,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('done','pending','waiting','failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_try TEXT,
  message TEXT,
  PRIMARY KEY (platform, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX remotes_account ON remotes(account);
CREATE INDEX remotes_due ON remotes(platform, wanted, state) WHERE state <> 'done';

CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  intent INTEGER REFERENCES deliveries(id),
  platform TEXT NOT NULL,
  account INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  action TEXT NOT NULL,
  at TEXT NOT NULL,
  result TEXT CHECK (result IN ('confirmed','waiting','failed','found','nothing')),
  remote_id TEXT,
  message TEXT
) STRICT;
CREATE INDEX deliveries_account ON deliveries(account);
CREATE UNIQUE INDEX deliveries_outcome ON deliveries(intent) WHERE intent IS NOT NULL;
CREATE INDEX deliveries_confirmed ON deliveries(platform, at, revision, action) WHERE result = 'confirmed';

CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  connection INTEGER REFERENCES connections(id),
  anchor TEXT,
  digest BLOB,
  verb TEXT NOT NULL CHECK (verb IN ('ignore','discard','undo','release','apply','show')),
  who TEXT NOT NULL,
  at TEXT NOT NULL,
  why TEXT,
  run INTEGER REFERENCES runs(id),
  operation INTEGER,
  account INTEGER,
  secret TEXT,
  ended_at TEXT
) STRICT;
CREATE INDEX decisions_standing ON decisions(connection, anchor) WHERE ended_at IS NULL;

CREATE TABLE problems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES runs(id),
  connection INTEGER NOT NULL REFERENCES connections(id),
  anchor TEXT,
  code TEXT NOT NULL,
  attribute TEXT,
  message TEXT NOT NULL
) STRICT;
CREATE INDEX problems_run ON problems(run);

CREATE TABLE policies (
  platform TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  since TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
  connection INTEGER NOT NULL REFERENCES connections(id),
  mode TEXT NOT NULL CHECK (mode IN ('full','incremental')),
  slot TEXT NOT NULL,
  schedule TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('seen','claimed','ended','skipped')),
  run INTEGER REFERENCES runs(id),
  started_at TEXT NOT NULL,
  ended_at TEXT,
  UNIQUE (connection, mode, slot)
) STRICT;
CREATE INDEX schedules_claimed ON schedules(connection) WHERE state = 'claimed';

CREATE TABLE notices (
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  since TEXT NOT NULL,
  told_at TEXT NOT NULL,
  about TEXT NOT NULL,
  PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
  account INTEGER NOT NULL REFERENCES accounts(id),
  attribute TEXT NOT NULL,
  version INTEGER NOT NULL,
  digest TEXT NOT NULL DEFAULT '',
  sealed BLOB NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (account, attribute, version, digest)
) STRICT;

CREATE TABLE sealed (
  name TEXT PRIMARY KEY,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

_TRIGGERS = (
    """
    CREATE TRIGGER operations_content BEFORE UPDATE OF
      run, connection, anchor, kind, account, link, link_action, record, replaced, before, after,
      template, enabled, owner, fingerprint, digest, seen, gone_at, origin, undoes ON operations
    WHEN (SELECT state FROM runs WHERE id = OLD.run) <> 'reading'
      AND NOT (NEW.before = '{}' AND NEW.after = '{}' AND NEW.record IS NULL AND NEW.replaced IS NULL
        AND NEW.template IS NULL AND NEW.run = OLD.run AND NEW.account IS OLD.account
        AND NEW.kind = OLD.kind AND NEW.digest = OLD.digest
        AND OLD.state IN ('applied','discarded','superseded'))
    BEGIN SELECT RAISE(ABORT, 'the content of an operation never changes'); END
    """,
    """
    CREATE TRIGGER operations_state BEFORE UPDATE OF state ON operations
    WHEN NOT (NEW.state = OLD.state
      OR (OLD.state = 'planned')
      OR (OLD.state IN ('detained','failed','waiting') AND NEW.state IN ('discarded','superseded'))
      OR (OLD.state = 'waiting' AND NEW.state = 'detained'))
    BEGIN SELECT RAISE(ABORT, 'an operation cannot go from this state to that one'); END
    """,
    """
    CREATE TRIGGER operations_kept BEFORE DELETE ON operations
    WHEN (SELECT state FROM runs WHERE id = OLD.run) <> 'reading'
    BEGIN SELECT RAISE(ABORT, 'operations are never deleted'); END
    """,
    """
    CREATE TRIGGER deliveries_changed BEFORE UPDATE ON deliveries
    WHEN NOT (NEW.message IS NULL AND NEW.id = OLD.id AND NEW.action = OLD.action
      AND NEW.revision = OLD.revision AND NEW.result IS OLD.result)
    BEGIN SELECT RAISE(ABORT, 'deliveries are only ever appended'); END
    """,
    """
    CREATE TRIGGER deliveries_kept BEFORE DELETE ON deliveries
    BEGIN SELECT RAISE(ABORT, 'deliveries are never deleted'); END
    """,
    """
    CREATE TRIGGER decisions_changed BEFORE UPDATE OF connection, anchor, digest, verb, who, at, account,
      secret ON decisions
    BEGIN SELECT RAISE(ABORT, 'decisions are only ever ended'); END
    """,
)


@MIGRATIONS()
def m001_first_version(db: Database) -> None:
    """Everything that the first version needs."""
    for statement in _TABLES.split(";"):
        if statement.strip():
            db.conn.execute(statement)
    for trigger in _TRIGGERS:
        db.conn.execute(trigger)
