"""SQL text as a fixture: a stopped instance's database written out, read back, and checked against a running app.

The only module that knows SQLite, and one table: `chat`.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .client import Client
from .ledger import Ledger

# Where the app's image keeps its data; the fixture must not tell where it was made.
_IMAGE_DATA_DIR = "/app/backend/data"

# Characters that editors, diffs and git would take for line ends or for a binary file.
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f\u2028\u2029\ufeff]")


def dump(data_dir: Path, output: Path) -> int:
    """Writes the stopped instance's `webui.db`, its write-ahead log included, as SQL. Returns the characters written."""
    with closing(sqlite3.connect(data_dir / "webui.db")) as database:
        text = "\n".join(database.iterdump()) + "\n"
    text = text.replace(str(data_dir.resolve()), _IMAGE_DATA_DIR)
    # Control characters occur inside string literals only.
    text = _CONTROL.sub(lambda found: f"'||char({ord(found[0])})||'", text)
    return output.write_text(text, encoding="utf-8", newline="\n")


def load(sql: Path, data_dir: Path) -> None:
    """Makes `data_dir/webui.db` from SQL text. Raises FileExistsError rather than overwrite one."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "webui.db"
    if path.exists():
        raise FileExistsError(path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(sql.read_text(encoding="utf-8"))
        # As the app leaves its database: the file says that it is used with a write-ahead log.
        database.execute("PRAGMA journal_mode = WAL")


def differing_chats(url: str, ledger: Ledger, database: Path) -> Iterator[tuple[str, int, list[str]]]:
    """For each user who may have chats: email, number of chats in the file, and what the app serves otherwise.

    `database` must not be in use. It is read from a copy, its write-ahead log included: to open it would change it.
    """
    with TemporaryDirectory() as folder:
        for part in (database, database.with_name(f"{database.name}-wal")):
            if part.exists():
                shutil.copy(part, folder)
        source = sqlite3.connect(Path(folder) / database.name)
        source.row_factory = sqlite3.Row
        anonymous = Client(url)
        for user in ledger.users:
            if user.role == "pending":
                continue
            client = anonymous.sign_in(user.email, user.password)
            rows = source.execute("SELECT * FROM chat WHERE user_id = ?", (user.id,)).fetchall()
            wrong = [row["id"] for row in rows if not _is_served(client, row)]
            yield user.email, len(rows), wrong
        source.close()


def _is_served(client: Client, row: sqlite3.Row) -> bool:
    response = client.get(f"/api/v1/chats/{row['id']}")
    if response.status_code != 200:
        return False
    served = response.json()
    return (
        _holds(served["chat"], json.loads(row["chat"]))
        and _holds(served["meta"], json.loads(row["meta"]))
        and served["archived"] == bool(row["archived"])
        and served["pinned"] == bool(row["pinned"])
        and all(served[name] == row[name] for name in ("title", "created_at", "updated_at", "folder_id", "share_id"))
    )


def _holds(served: Any, stored: Any) -> bool:
    """Whether everything stored is served. The app adds keys of its own, such as `share_mode` and messages' `user`."""
    if isinstance(stored, dict):
        return isinstance(served, dict) and all(
            key in served and _holds(served[key], value) for key, value in stored.items()
        )
    if isinstance(stored, list):
        return isinstance(served, list) and len(served) == len(stored) and all(map(_holds, served, stored))
    # As text: in Python 1 equals 1.0 and True.
    return json.dumps(served) == json.dumps(stored)
