"""The ways of filling the same prepared schema: ours, and psql, the yardstick.

Each is made once for a source (`prepare`, outside the time) and then run on a database of its own each time.
"""

import datetime
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .process import Run, clean_environment, measure
from .server import Server
from .webui_db import Source

# What the program suspends during a load: secondary indexes and foreign keys (src/catalogue.rs asks the same).
SUSPENDABLE = """
SELECT quote_ident(c.relname), quote_ident(k.conname), k.contype::text, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relnamespace = 'public'::regnamespace AND k.contype IN ('f', 'u', 'x')
   AND NOT EXISTS (SELECT FROM pg_constraint f WHERE k.contype <> 'f' AND f.contype = 'f' AND f.conindid = k.conindid)
UNION ALL
SELECT quote_ident(c.relname), quote_ident(i.relname), 'i', pg_get_indexdef(x.indexrelid)
  FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT x.indisprimary
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid)
 ORDER BY 1, 3, 2
"""
PARENTS = """
SELECT c.relname, p.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
 WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace AND c.oid <> p.oid
"""


@dataclass
class Outcome:
    """One run of one way."""

    seconds: float
    cpu: float
    peak: int  # bytes
    code: int
    size: int = 0  # bytes of the database afterwards
    marker: float | None = None  # s from start to commit, where the process goes on after it
    lost: dict[str, int] = field(default_factory=dict)  # rows by table; negative where there are too many
    failure: str = ""  # the last of what it said
    session: int = 0  # runs of the same session were measured side by side

    def record(self) -> dict:
        return asdict(self)


class Way:
    """Something that moves `source` into a database."""

    name = ""
    # Whether it is run in the first rounds only (`--peer-runs`).
    peer = False
    port: int | None = None  # another way to the server than its own

    def __init__(self, server: Server, source: Source, work: Path, template: str):
        self.server, self.source, self.work, self.template = server, source, work, template

    def prepare(self) -> None:
        """What does not count."""

    def command(self, database: str) -> tuple[list, dict[str, str]]:
        """What to run, and the environment for it."""
        raise NotImplementedError

    def run(self, timeout: float | None = None) -> Outcome:
        database = f"run_{re.sub('[^a-z0-9]', '_', self.name)}"
        self.server.create(database, self.template)
        try:
            command, environment = self.command(database)
            os.sync()
            run = measure(command, {**clean_environment(), **environment}, timeout)
            (self.work / f"{self.name}.log").write_text(run.said)
            there = self.server.rows(database)
            lost = {name: rows - there.get(name, 0) for name, rows in self.source.rows.items()}
            return Outcome(
                run.seconds, run.cpu, run.peak, run.code, self.server.size(database), self.marker(run),
                {name: rows for name, rows in lost.items() if rows}, self.last_words(run) if run.code else "",
            )
        finally:
            self.server.drop(database)

    def marker(self, run: Run) -> float | None:
        return None

    def last_words(self, run: Run) -> str:
        """The end of what a process said, without what is this machine's own."""
        said = run.said.replace(self.server.password, "…").replace(str(self.work), "…")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return " / ".join(lines[-2:])[-300:] or "nothing was said"


class Ours(Way):
    """`webui-init migrate`, with the schema there already."""

    name = "ours"
    verify = "full"

    def __init__(self, *arguments, binary: Path):
        super().__init__(*arguments)
        self.binary = binary

    def command(self, database):
        return [self.binary, "migrate"], {
            "DATABASE_URL": self.server.url(database, self.port), "WEBUI_INIT_SQLITE_PATH": str(self.source.path),
            "WEBUI_INIT_SCHEMA_COMMAND": "true", "WEBUI_INIT_VERIFY": self.verify, "WEBUI_SECRET_KEY": "bench",
        }

    def marker(self, run):
        """The line after COMMIT; ANALYZE follows it."""
        said = re.search(r"^(\S+Z)\s.*\bmoved and verified .* in [0-9.]+ s", run.said, re.MULTILINE)
        return said and datetime.datetime.fromisoformat(said[1].replace("Z", "+00:00")).timestamp() - run.began


class OursCount(Ours):
    name = "ours-count"
    verify = "count"


class Psql(Way):
    """The yardstick: prepared binary files, one connection, one transaction, lz4, indexes and foreign keys rebuilt."""

    name = "psql"
    format = "binary"
    suspend = True

    def __init__(self, *arguments, filled: str):
        super().__init__(*arguments)
        self.filled = filled  # a database that holds the rows

    def prepare(self):
        folder = self.work / f"copy-{self.format}"
        folder.mkdir(exist_ok=True)
        fetch, load = [], ["BEGIN;"]
        drops, restores = self.suspension() if self.suspend else ([], [])
        if self.suspend and "lz4" in self.server.ask("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'", self.filled):
            load.append("SET LOCAL default_toast_compression = 'lz4';")
        load += drops
        for table in self.parents_first():
            columns = self.server.ask(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
                f" WHERE attrelid = '\"{table}\"'::regclass AND attnum > 0 AND NOT attisdropped", self.filled,
            )
            file = folder / table
            fetch.append(f"\\copy \"{table}\" ({columns}) TO '{file}' WITH (FORMAT {self.format})")
            if self.source.rows.get(table):
                load.append(f"\\copy \"{table}\" ({columns}) FROM '{file}' WITH (FORMAT {self.format})")
        self.server.ask("\n".join(fetch), self.filled)
        self.script = folder / "load.sql"
        self.script.write_text("\n".join([*load, *restores, "COMMIT;"]) + "\n")

    def suspension(self) -> tuple[list[str], list[str]]:
        items = [line.split("\t", 3) for line in self.server.ask(SUSPENDABLE, self.template).splitlines()]
        items.sort(key=lambda item: item[2] != "f")
        drops, restores = [], []
        for table, name, kind, definition in items:
            if not self.source.rows.get(table.strip('"')):
                continue
            drops.append(f"DROP INDEX {name};" if kind == "i" else f"ALTER TABLE {table} DROP CONSTRAINT {name};")
            restores.insert(0, f"{definition};" if kind == "i" else f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition};")
        return drops, restores

    def parents_first(self) -> list[str]:
        parents: dict[str, set[str]] = {table: set() for table in self.server.tables(self.filled)}
        for line in self.server.ask(PARENTS, self.filled).splitlines():
            child, parent = line.split("\t")
            parents[child].add(parent)
        order: list[str] = []
        while parents:
            ready = [table for table in parents if parents[table] <= set(order)]
            order += ready or parents
            for table in ready or list(parents):
                del parents[table]
        return order

    def command(self, database):
        return self.server.psql("-f", self.script), self.server.environment(database, self.port)


class PsqlPlain(Psql):
    """As one does it by hand: text, pglz, with indexes and foreign keys in place."""

    name = "psql-plain"
    format = "text"
    suspend = False
    peer = True
