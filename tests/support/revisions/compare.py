"""What PostgreSQL holds after a move, against what the app's own upgrade of the same file holds.

Every table, every row, every column. Nothing is passed over: what a migration draws at random or reads off
the clock (`DRAWN`) must be a fresh UUID or lie within the upgrade's time, and refer to the same row.
Where both upgrades ran with a frozen clock not even that is allowed for: all values must be equal.
"""

import contextlib
import datetime
import json
import re
import sqlite3
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Drawn:
    """Columns of rows that `migration` makes, which differ between two upgrades of one file."""

    migration: str
    table: str
    identity: tuple[str, ...]  # columns that tell the row without them
    ids: tuple[str, ...] = ()  # uuid4(); references to them elsewhere are followed by value
    clocks: tuple[str, ...] = ()  # the present in seconds or nanoseconds


GRANT = ("resource_type", "resource_id", "principal_type", "principal_id", "permission")
DRAWN = (
    Drawn("37f288994c47", "group_member", ("group_id", "user_id"), ("id",), ("created_at", "updated_at")),
    Drawn("b10670c03dd5", "api_key", ("id",), (), ("created_at", "updated_at")),
    Drawn("3e0e00844bb0", "knowledge_file", ("knowledge_id", "file_id"), ("id",), ("created_at", "updated_at")),
    Drawn("374d2f66af06", "prompt", ("command",), ("id",)),
    Drawn("374d2f66af06", "prompt_history", ("prompt_id",), ("id",)),
    Drawn("8452d01d26d7", "chat_message", ("id",), (), ("created_at", "updated_at")),  # messages without a usable time
    Drawn("f1e2d3c4b5a6", "access_grant", GRANT, ("id",), ("created_at",)),
    Drawn("c1d2e3f4a5b6", "access_grant", GRANT, ("id",), ("created_at",)),
    Drawn("4de81c2a3af1", "pinned_note", ("user_id", "note_id"), ("id",), ("created_at",)),
    Drawn("3ff2c63645b8", "config", ("key",), (), ("updated_at",)),
    Drawn("d6a8c3f912ab", "skill_history", ("skill_id",), ("id",)),
    Drawn("e7b9d4a023bc", "model_history", ("model_id",), ("id",)),
    Drawn("f8c0e5b134cd", "tool_history", ("tool_id",), ("id",)),
    Drawn("f8c0e5b134cd", "function_history", ("function_id",), ("id",)),
)
TAG_ORDER = "1af9b942657b"  # writes chat.meta.tags through a set(), whose order changes with each process


class Difference(Exception):
    """One thing that is not as it should be; its text names table, row and column."""


Rows = dict[str, list[dict]]


@dataclass
class Side:
    """One of the two contents: rows by table, values as the target's types have them."""

    rows: Rows
    window: tuple[int, int]  # s; when its upgrade ran


@dataclass
class Catalogue:
    """What the target's tables look like: types, keys, defaults and foreign keys."""

    types: dict[str, dict[str, str]]
    keys: dict[str, list[str]]
    defaults: dict[str, dict[str, object]]
    foreign: list[tuple[str, list[str], str, list[str], str]] = field(default_factory=list)

    @classmethod
    def read(cls, pg: psycopg.Connection) -> "Catalogue":
        types, defaults, keys = {}, {}, {}
        for table, column, kind, default in pg.execute(
            "SELECT table_name, column_name, data_type, column_default FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name <> ALL (%s) ORDER BY table_name, ordinal_position",
            [list(STEP_RECORDS)],
        ):
            types.setdefault(table, {})[column] = kind
            if default and not default.startswith("nextval"):
                defaults.setdefault(table, {})[column] = default
        for table, columns in defaults.items():
            for column, default in columns.items():
                columns[column] = pg.execute(f"SELECT ({default})").fetchone()[0]
        foreign = []
        for kind, table, columns, other, others, action in pg.execute(
            "SELECT contype::text, c.relname,"
            " (SELECT array_agg(attname::text ORDER BY i) FROM unnest(conkey) WITH ORDINALITY u(n, i) JOIN pg_attribute ON attrelid = conrelid AND attnum = n),"
            " f.relname,"
            " (SELECT array_agg(attname::text ORDER BY i) FROM unnest(confkey) WITH ORDINALITY u(n, i) JOIN pg_attribute ON attrelid = confrelid AND attnum = n),"
            " confdeltype::text FROM pg_constraint JOIN pg_class c ON c.oid = conrelid LEFT JOIN pg_class f ON f.oid = confrelid"
            " WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f')"
        ):
            if kind == "p":
                keys[table] = columns
            else:
                foreign.append((table, columns, other, others, action))
        return cls(types, keys, defaults, foreign)


def _as_target(value: object, kind: str) -> object:
    """The SQLite value as the target's type should hold it; JSON text stays text, byte for byte."""
    if value is None:
        return None
    if kind == "boolean" and value in (0, 1):
        return bool(value)
    if kind in ("bigint", "integer") and isinstance(value, int):
        return value
    if kind in ("text", "character varying") and isinstance(value, str):
        return value
    if kind == "json":
        # A number in a JSON column lost its spelling when SQLite's NUMERIC affinity took it.
        return value if isinstance(value, str) else Number(value)
    if kind == "date" and isinstance(value, str):
        return datetime.date.fromisoformat(value)
    if kind.startswith("timestamp") and isinstance(value, str):
        return datetime.datetime.fromisoformat(value)
    raise Difference(f"no rule for {value!r} in a column of type {kind}")


class Number:
    """A JSON number equal to any spelling of itself."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, text):
        with contextlib.suppress(ValueError, TypeError):
            other = json.loads(text.value if isinstance(text, Number) else text)
            return type(other) in (int, float) and other == self.value
        return False

    def __repr__(self):
        return f"Number({self.value!r})"


def sqlite_rows(database: Path) -> Rows:
    """Every row of every table as SQLite stores it."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.row_factory = sqlite3.Row
        tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
        return {table: [dict(row) for row in db.execute(f'SELECT * FROM "{table}"')] for table in tables}


def postgres_rows(pg: psycopg.Connection, catalogue: Catalogue) -> Rows:
    """Every row of every table as the app's driver reads it, JSON as its text."""
    found = {}
    for table, columns in catalogue.types.items():
        listed = ", ".join(f'"{c}"::text' if kind == "json" else f'"{c}"' for c, kind in columns.items())
        found[table] = [dict(zip(columns, row)) for row in pg.execute(f'SELECT {listed} FROM "{table}"')]
    return found


# The schema step's own records, and a Peewee key that only numbers the rows: nothing that a move could lose.
STEP_RECORDS = ("alembic_version", "migratehistory")
ROW_NUMBER = ("document", "id")


class Comparison:
    """Compares one moved file. `differences` is empty when all is as the app's own upgrade would have it."""

    def __init__(self, pg, source: Rows, upgraded: Rows, revisions: list[str], windows, frozen: bool):
        self.catalogue = Catalogue.read(pg)
        self.source, self.differences = source, []
        revision = next((row["version_num"] for row in source.get("alembic_version", [])), None)
        behind = set(revisions[revisions.index(revision) + 1:] if revision else revisions)
        self.drawn = [] if frozen else [rule for rule in DRAWN if rule.migration in behind]
        self.tags_unordered = not frozen and TAG_ORDER in behind
        self.kept_aside = Counter()  # rows by table that belong into webui_init.leftover
        expected, actual = Side(self._expected(upgraded), windows[0]), Side(postgres_rows(pg, self.catalogue), windows[1])
        self.rows = sum(map(len, expected.rows.values()))
        self.values = sum(len(row) for rows in expected.rows.values() for row in rows)
        for side in (expected, actual):
            self._level(side)
        for table in self.catalogue.types:
            self._table(table, expected.rows[table], actual.rows[table])
        self._leftovers(pg, upgraded)
        heads = [r[0] for r in pg.execute("SELECT version_num FROM alembic_version")]
        if heads != revisions[-1:]:
            self.differences.append(f"alembic_version is {heads}, not {revisions[-1]}")

    def _expected(self, upgraded: Rows) -> Rows:
        """The upgraded file's content as the target should hold it, less what a foreign key shuts out."""
        expected = {}
        for table, columns in self.catalogue.types.items():
            expected[table] = []
            for row in upgraded.get(table, []):
                values = {}
                for column, kind in columns.items():
                    if column not in row:  # a Peewee file that never got the column: the target's own default
                        values[column] = self.catalogue.defaults.get(table, {}).get(column)
                        continue
                    try:
                        values[column] = _as_target(row[column], kind)
                    except (Difference, ValueError) as error:
                        self.differences.append(f"{table}.{column}: {error}")
                expected[table].append(values)
        while any(self._apply(foreign, expected) for foreign in self.catalogue.foreign):
            pass
        return expected

    def _apply(self, foreign, expected: Rows) -> bool:
        """Take out, or null, the rows of `expected` that refer to nothing; true if there was one."""
        table, columns, other, others, action = foreign
        there = {tuple(row[c] for c in others) for row in expected[other]}
        orphans = [row for row in expected[table] if None not in (key := tuple(row[c] for c in columns)) and key not in there]
        for row in orphans:
            self.kept_aside[table] += 1
            if action == "n":
                row.update(dict.fromkeys(columns))
        if action != "n":
            expected[table] = [row for row in expected[table] if not any(row is orphan for orphan in orphans)]
        return bool(orphans)

    def _level(self, side: Side) -> None:
        """Put names in the place of what was drawn, so that the two sides can be equal."""
        names = {}
        for rule in self.drawn:
            known = {row.get(c) for row in self.source.get(rule.table, []) for c in rule.ids}
            for row in side.rows[rule.table]:
                for column in rule.ids:
                    value = row[column]
                    if value in known or value in names:
                        continue
                    if not (isinstance(value, str) and _is_uuid4(value)):
                        self.differences.append(f"{rule.table}.{column}: {value!r} is no fresh UUID of {rule.migration}")
                        continue
                    names[value] = f"<{rule.table} {[names.get(row[c], row[c]) for c in rule.identity]}>"
            for row in side.rows[rule.table]:
                for column in rule.clocks:
                    start, end = side.window
                    if isinstance(row[column], int) and any(start * s <= row[column] <= (end + 1) * s for s in (1, 10**9)):
                        row[column] = "<now>"
        if len(set(names.values())) != len(names):
            self.differences.append("a drawn id does not stand for one row alone")
        for rows in side.rows.values():
            for row in rows:
                row.update({column: names[value] for column, value in row.items() if isinstance(value, str) and value in names})
        if self.tags_unordered:
            for row in side.rows["chat"]:
                meta = json.loads(row["meta"])
                if isinstance(meta.get("tags"), list):
                    row["meta"] = json.dumps({**meta, "tags": sorted(meta["tags"])})

    def _table(self, table: str, expected: list[dict], actual: list[dict]) -> None:
        columns = self.catalogue.types[table]
        # Early versions gave some tables no primary key.
        key = self.catalogue.keys.get(table) or (["id"] if "id" in columns else list(columns))
        by_key = [{tuple(row[c] for c in key): row for row in side} for side in (expected, actual)]
        for side, rows, found in zip(("expected", "target"), (expected, actual), by_key):
            if len(found) != len(rows):
                self.differences.append(f"{table}: {len(rows) - len(found)} rows share a key in the {side}")
        for where in by_key[0].keys() - by_key[1].keys():
            self.differences.append(f"{table} {where}: missing in the target")
        for where in by_key[1].keys() - by_key[0].keys():
            self.differences.append(f"{table} {where}: only in the target")
        for where in by_key[0].keys() & by_key[1].keys():
            for column, value in by_key[0][where].items():
                if not value == by_key[1][where][column]:
                    self.differences.append(f"{table} {where} {column}: expected {_short(value)}, got {_short(by_key[1][where][column])}")

    def _leftovers(self, pg, upgraded: Rows) -> None:
        """Unknown tables and columns with content, and orphans, are kept aside: all of them and nothing else."""
        held = {}
        for table, reason, row in pg.execute("SELECT table_name, reason, row::text FROM webui_init.leftover"):
            held.setdefault(table, []).append((reason, row))
        for table, rows in upgraded.items():
            if table in STEP_RECORDS:
                continue
            known = self.catalogue.types.get(table, {})
            for row in rows:
                unknown = {
                    column: value
                    for column, value in row.items()
                    if column not in known and value is not None and (table, column) != ROW_NUMBER
                }
                if not unknown:
                    continue
                self.kept_aside[table] += 1
                if not any(_holds(json.loads(text), unknown) for _, text in held.get(table, [])):
                    self.differences.append(f"{table}: {_short(unknown)} is not among the leftovers")
        counts = Counter({table: len(rows) for table, rows in held.items()})
        if counts != self.kept_aside:
            self.differences.append(f"leftovers by table are {dict(counts)}, not {dict(self.kept_aside)}")
        if any(not reason for rows in held.values() for reason, _ in rows):
            self.differences.append("a leftover without a reason")


def _holds(leftover: object, wanted: dict) -> bool:
    return isinstance(leftover, dict) and all(leftover.get(column) == value for column, value in wanted.items())


def _is_uuid4(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)) and uuid.UUID(text).version == 4


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:120]}… ({len(text)})"
