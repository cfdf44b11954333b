"""A process that is killed again and again while it delivers: run by test_distribution_crashes.

The platform is a folder with a file per account. Its ``add`` never looks whether the account is there.
Prints what came of it as one JSON document.
"""

import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from distribution_world import Company, Desk, deliver, lane

from syncd.connector import Platform
from syncd.errors import Gone
from syncd.model import Account

START = 80


class Folder(Platform):
    """Accounts as files; every call leaves a byte in ``calls`` before and after it does anything."""

    fields = Desk().fields

    def __init__(self, folder: Path) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]
        self.folder = folder
        self.calls = (folder.parent / "calls").open("ab", buffering=0)

    def add(self, account: Account) -> str:
        remote_id = uuid4().hex
        self._write(remote_id, account.key, True, account.fields)
        return remote_id

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        stored = self._read(remote_id)
        fields = {name: value for name, value in stored["fields"].items() if name not in changed}
        fields |= {name: value for name, value in account.fields.items() if name in changed}
        self._write(remote_id, account.key, stored["enabled"], fields)

    def disable(self, remote_id: str, account: Account) -> None:
        self._write(remote_id, account.key, False, self._read(remote_id)["fields"])

    def enable(self, remote_id: str, account: Account) -> None:
        self._write(remote_id, account.key, True, self._read(remote_id)["fields"])

    def delete(self, remote_id: str) -> None:
        self._call()
        (self.folder / remote_id).unlink(missing_ok=True)
        self._call()

    def find(self, account: Account) -> str | None:
        for path in self.folder.iterdir():
            if path.suffix != ".new" and json.loads(path.read_text())["key"] == account.key:
                return path.name
        return None

    def _read(self, remote_id: str) -> dict:
        try:
            return json.loads((self.folder / remote_id).read_text())
        except FileNotFoundError:
            raise Gone(remote_id) from None

    def _write(self, remote_id: str, key: str, enabled: bool, fields: object) -> None:
        self._call()
        new = self.folder / f"{remote_id}.new"
        new.write_text(json.dumps({"key": key, "enabled": enabled, "fields": fields}))
        new.rename(self.folder / remote_id)
        self._call()

    def _call(self) -> None:
        self.calls.write(b".")
        time.sleep(0.0005)

    def there(self) -> list[dict]:
        paths = [path for path in self.folder.iterdir() if path.suffix != ".new"]
        return [json.loads(path.read_text()) for path in paths]


def run(folder: Path) -> None:
    company = Company(folder / "syncd.db", "desk")
    deliver(company, lane(Folder(folder / "accounts"), batch=15), clock=lambda: datetime.now(UTC))
    company.database.close()


def kill_in_the_middle(folder: Path, chance: random.Random) -> bool:
    """Let a child deliver, kill it after some calls, and return whether it was killed."""
    calls, after = folder / "calls", chance.randrange(1, 40)
    before = calls.stat().st_size
    child = os.fork()
    if child == 0:
        run(folder)
        os._exit(0)
    while calls.stat().st_size < before + after:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def change(folder: Path, chance: random.Random) -> int:
    """Change some accounts, and return how many intents have no outcome."""
    company = Company(folder / "syncd.db", "desk")
    numbers = [
        row[0] for row in company.conn.execute("SELECT id FROM accounts WHERE deleted_at IS NULL ORDER BY id")
    ]
    one, two, three, four = chance.sample(numbers, 4)
    company.change(one, display_name=f"changed {chance.random()}")
    company.delete(two)
    company.disable(three, chance.choice(["source", None]))
    emails = {
        number: company.conn.execute("SELECT email FROM accounts WHERE id = ?", (number,)).fetchone()[0]
        for number in (one, four)
    }
    company.change_all({one: {"email": emails[four]}, four: {"email": emails[one]}})
    company.add(display_name="new", email=f"new{chance.random()}@acme.example")
    left_over = company.conn.execute(
        "SELECT COUNT(*) FROM deliveries d WHERE d.intent IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.intent = d.id)"
    ).fetchone()[0]
    company.database.close()
    return left_over


def main(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    (folder / "accounts").mkdir()
    (folder / "calls").touch()
    company = Company(folder / "syncd.db", "desk")
    for number in range(START):
        company.add(display_name=f"Person {number}", email=f"person{number}@acme.example")
    company.database.close()
    killed, left_over = 0, 0
    for _ in range(kills):
        killed += kill_in_the_middle(folder, chance)
        left_over += change(folder, chance)
    run(folder)
    company = Company(folder / "syncd.db", "desk")
    there = Folder(folder / "accounts").there()
    wanted = company.wanted(tuple(Folder.fields))
    keys = [one["key"] for one in there]
    result = {
        "killed": killed,
        "left_over": left_over,
        "lost": sorted(set(wanted) - set(keys)),
        "surplus": sorted(set(keys) - set(wanted)),
        "doubled": sorted({key for key in keys if keys.count(key) > 1}),
        "wrong": sorted(
            one["key"] for one in there if wanted.get(one["key"]) != (one["enabled"], one["fields"])
        ),
        "states": company.states(),
        "without_outcome": company.conn.execute(
            "SELECT COUNT(*) FROM deliveries d WHERE d.intent IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.intent = d.id)"
        ).fetchone()[0],
        "accounts": len(wanted),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
