"""Which links a read has seen: two bits a link, so that memory stays flat."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence


class Sightings:
    """Marks links as seen while a source is read.

    ``same`` holds those links with an open operation whose entry came with the very fingerprint that was
    applied: their proposals are out of date. ``doubled`` holds links that were seen twice. ``left`` are
    fingerprints that count as unknown.
    """

    def __init__(self, conn: sqlite3.Connection, connection: int) -> None:
        self.conn = conn
        self.connection = connection
        highest = conn.execute("SELECT MAX(id) FROM links").fetchone()[0] or 0
        self._seen = bytearray(highest // 8 + 1)
        self.count = 0
        self.same: set[int] = set()
        self.left: set[bytes] = set()
        self.doubled: set[int] = set()
        self.unchanged = 0
        rows = conn.execute(
            "SELECT l.id FROM operations o JOIN links l ON l.connection = o.connection AND l.anchor = o.anchor"
            " WHERE o.connection = ? AND o.state IN ('detained', 'failed', 'waiting')",
            (connection,),
        )
        self._watched = {row[0] for row in rows}
        self._queries: dict[int, str] = {}

    def see(self, link: int) -> None:
        """Mark one link."""
        byte, bit = link >> 3, 1 << (link & 7)
        if self._seen[byte] & bit:
            self.doubled.add(link)
        else:
            self._seen[byte] |= bit
            self.count += 1

    def has(self, link: int) -> bool:
        """Say whether a link was seen."""
        return bool(self._seen[link >> 3] & (1 << (link & 7)))

    def known(self, prints: Sequence[bytes]) -> Collection[bytes]:
        """Mark the links that have one of these fingerprints; return the fingerprints found."""
        query = self._queries.get(len(prints))
        if query is None:
            marks = ",".join("?" * len(prints))
            query = f"SELECT fingerprint, id FROM links WHERE connection = ? AND fingerprint IN ({marks})"
            self._queries = {len(prints): query}
        rows = self.conn.execute(query, (self.connection, *prints)).fetchall()
        if self.left:
            rows = [row for row in rows if row[0] not in self.left]
        if not rows:
            return ()
        seen = self._seen
        for _, link in rows:
            byte, bit = link >> 3, 1 << (link & 7)
            if seen[byte] & bit:
                self.doubled.add(link)
            else:
                seen[byte] |= bit
                self.count += 1
        if self._watched:
            self.same.update(link for _, link in rows if link in self._watched)
        stored = {row[0] for row in rows}
        if len(stored) != len(rows) or len(set(prints)) != len(prints):
            self._note_doubles(prints, dict(rows))
        self.unchanged += (
            sum(1 for one in prints if one in stored) if len(stored) != len(prints) else len(prints)
        )
        return stored

    def _note_doubles(self, prints: Sequence[bytes], links: dict[bytes, int]) -> None:
        once: set[bytes] = set()
        for one in prints:
            if one in once and one in links:
                self.doubled.add(links[one])
            once.add(one)

    def see_anchors(self, anchors: Sequence[str]) -> None:
        """Mark the links of entries that were told of without being read whole (Present, Problem)."""
        for start in range(0, len(anchors), 500):
            chunk = anchors[start : start + 500]
            marks = ",".join("?" * len(chunk))
            rows = self.conn.execute(
                f"SELECT id FROM links WHERE connection = ? AND anchor IN ({marks})",
                (self.connection, *chunk),
            )
            for (link,) in rows.fetchall():
                self.see(link)

    def unseen(self) -> list[int]:
        """Return the links of this connection that were not seen and had not ended before."""
        total = self.conn.execute(
            "SELECT COUNT(*) FROM links INDEXED BY links_fingerprint WHERE connection = ?", (self.connection,)
        ).fetchone()[0]
        if total == self.count:
            return []
        rows = self.conn.execute(
            "SELECT id FROM links WHERE connection = ? AND gone_at IS NULL", (self.connection,)
        )
        return [link for (link,) in rows if not self.has(link)]
