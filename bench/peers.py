"""Other tools that move a `webui.db`, as their makers say they are to be used, into the same prepared schema."""

import shutil
import subprocess
import sys
from pathlib import Path

from .server import quietly
from .ways import Way

PACKAGES = {"open-webui-sqlite-migration": "0.1.14", "open-webui-postgres-migration": "1.1.0"}

# It asks its questions one by one; the answers are put in their place.
ANSWERS = """
import migrate, os, pathlib
migrate.get_sqlite_config = lambda: pathlib.Path(os.environ["SQLITE_DB_PATH"])
migrate.get_pg_config = lambda *tables: {
    "host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]), "dbname": os.environ["PGDATABASE"],
    "user": os.environ["PGUSER"], "password": os.environ["PGPASSWORD"],
}
migrate.get_batch_config = lambda: 500
migrate.main()
"""


class Peer(Way):
    """Works on a copy of the source: these write to it, or at least open it for writing."""

    peer = True

    def run(self, timeout=None):
        folder = self.work / self.name
        folder.mkdir(exist_ok=True)
        for path in self.source.path.parent.glob("webui.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, folder)
        self.copy = folder / "webui.db"
        try:
            return super().run(timeout)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Pgloader(Peer):
    """Debian's pgloader, told to keep the schema and to take rows only.

    Left to itself it reads 100,000 rows ahead, and chats exhaust its heap; 1,000 it survives.
    """

    name = "pgloader"

    def command(self, database):
        script = self.work / self.name / "load"
        script.write_text(
            f"LOAD DATABASE FROM sqlite://{self.copy} INTO {self.server.url(database)}\n"
            "WITH data only, disable triggers, reset sequences, quote identifiers,\n"
            "     prefetch rows = 1000, batch rows = 1000\n"
            "EXCLUDING TABLE NAMES LIKE 'alembic_version';\n"
        )
        return ["pgloader", "--no-ssl-cert-verification", script], {}


class SqliteMigration(Peer):
    name = "open-webui-sqlite-migration"
    python: Path

    def command(self, database):
        return [self.python, "-m", "open_webui_sqlite_migration.migrate"], {
            "SQLITE_DB_PATH": str(self.copy), "MIGRATE_DATABASE_URL": self.server.url(database),
        }


class PostgresMigration(Peer):
    name = "open-webui-postgres-migration"
    python: Path

    def command(self, database):
        return [self.python, "-c", ANSWERS], {"SQLITE_DB_PATH": str(self.copy), **self.server.environment(database)}


def install(cache: Path) -> Path:
    """The interpreter of a virtual environment that has the tools of PyPI."""
    folder = cache / "peers"
    python = folder / "bin" / "python"
    wanted = " ".join(f"{name}=={version}" for name, version in PACKAGES.items())
    complete = folder / ".complete"
    if not complete.exists() or complete.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        quietly([sys.executable, "-m", "venv", folder])
        quietly([python, "-m", "pip", "install", "-q", *wanted.split()])
        complete.write_text(wanted)
    SqliteMigration.python = PostgresMigration.python = python
    return python


def versions() -> dict[str, str]:
    """What was run, by name."""
    found = dict(PACKAGES)
    if shutil.which("pgloader"):
        told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "pgloader"], capture_output=True, text=True)
        found["pgloader"] = told.stdout or "(unknown)"
    return found
