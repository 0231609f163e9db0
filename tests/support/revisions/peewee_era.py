"""Run a release's Peewee migrations on a SQLite file, up to and including the one named.

For the interpreter that has `peewee-migrate`; arguments: the unpacked release, the database, the name.
Does what `apps/webui/internal/db.py` of that time did at import.
"""

import sys
from pathlib import Path

from peewee import SqliteDatabase
from peewee_migrate import Router


def main(release: str, database: str, last: str) -> None:
    sys.path.insert(0, release)  # migration 010 imports `utils.misc`
    db = SqliteDatabase(database)
    Router(db, migrate_dir=Path(release, "apps/webui/internal/migrations")).run(last)
    db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
