"""The files kept in the repository: one SQL text for each revision, and those of the Peewee era.

The text is what `sqlite3`'s own dump would say, so that a difference can be read; the 66 of them are
compressed. `make` writes what `load` reads; both leave the rows to `rows` and the schema to the app.
"""

import contextlib
import gzip
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import rows
from app import App

FOLDER = Path(__file__).parents[2] / "fixtures"
REVISIONS, PEEWEE = FOLDER / "revisions", FOLDER / "peewee"

# The release, the last Peewee migration its file has seen, and whether it ran Alembic after that.
ERAS = {"0.2.5-at-008": ("0.2.5", 8, False), "0.2.5": ("0.2.5", 11, False), "0.3.10": ("0.3.10", 18, True)}
OLDEST_UPGRADABLE = 5  # Peewee migration; before it, chat has no created_at and updated_at


def paths() -> list[Path]:
    """Every kept file: by revision, then by release."""
    return sorted(REVISIONS.glob("*.sql.gz")) + sorted(PEEWEE.glob("*.sql"))


def dies_unclean(fixture: Path) -> bool:
    """Whether the file is left as by a killed app, all its rows in the WAL: every second revision is."""
    return fixture.parent == REVISIONS and int(fixture.name[:2]) % 2 == 0


def load(fixture: Path, folder: Path) -> Path:
    """Make the `webui.db` that `fixture` describes in `folder`; with a `webui.db-wal` where it `dies_unclean`."""
    text = fixture.read_bytes()
    text = (gzip.decompress(text) if fixture.suffix == ".gz" else text).decode()
    with tempfile.TemporaryDirectory() as scratch, contextlib.closing(sqlite3.connect(Path(scratch, "webui.db"))) as db:
        if dies_unclean(fixture):
            db.executescript("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0")
        db.executescript(text)
        for suffix in ("", "-wal") if dies_unclean(fixture) else ("",):  # while it is open, as a crash would find it
            shutil.copyfile(Path(scratch, f"webui.db{suffix}"), folder / f"webui.db{suffix}")
    return folder / "webui.db"


def _dump(database: Path) -> str:
    with contextlib.closing(sqlite3.connect(database)) as db:
        return "\n".join(db.iterdump()) + "\n"


def _keep(fixture: Path, text: str) -> bool:
    """Write `text` unless the file already says it; the compressed bytes depend on the zlib at hand."""
    packed = fixture.suffix == ".gz"
    if fixture.exists():
        old = fixture.read_bytes()
        if (gzip.decompress(old) if packed else old) == text.encode():
            return False
    fixture.parent.mkdir(parents=True, exist_ok=True)
    fixture.write_bytes(gzip.compress(text.encode(), 9, mtime=0) if packed else text.encode())
    return True


def _columns(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as db:
        schema = rows.Schema(db)
        return {f"{table}.{column}" for table in schema.tables for column in schema.columns(table)}


def _check_upgrade(app: App, database: Path) -> set[str]:
    """Let the app bring a copy to head; returns its columns there."""
    copy = database.with_suffix(".head.db")
    shutil.copyfile(database, copy)
    app.upgrade(f"sqlite:///{copy}")
    columns = _columns(copy)
    copy.unlink()
    return columns


def make(app: App) -> None:
    """Step an empty file through all revisions; at each, fill a copy and see that the app takes it to head."""
    with tempfile.TemporaryDirectory() as scratch:
        empty, filled = Path(scratch, "empty.db"), Path(scratch, "webui.db")
        for number, revision in enumerate(app.revisions, 1):
            app.upgrade(f"sqlite:///{empty}", revision)
            shutil.copyfile(empty, filled)
            with contextlib.closing(sqlite3.connect(filled)) as db:
                counts = rows.fill(db)
            bare = [table for table, count in counts.items() if not count]
            _check_upgrade(app, filled)
            changed = _keep(REVISIONS / f"{number:02}_{revision}.sql.gz", _dump(filled))
            print(f"{number:02} {revision}  {len(counts):2} tables {sum(counts.values()):4} rows  {'written' if changed else 'unchanged'}"
                  f"{'  no rows in ' + ', '.join(bare) if bare else ''}", flush=True)


def _peewee_step(python: Path, release: Path, database: Path, last: str) -> None:
    script = Path(__file__).with_name("peewee_era.py")
    subprocess.run([python, script, release, database, last], check=True, stdout=sys.stderr)


def _peewee_file(app: App, python: Path, release: Path, database: Path, last: int, alembic: bool) -> None:
    """Run the release's own migrations 1 to `last`; model files are written before 010 turns them into models."""
    names = sorted(path.stem for path in release.glob("apps/webui/internal/migrations/*.py"))
    if last >= 10:
        _peewee_step(python, release, database, names[8])
        with contextlib.closing(sqlite3.connect(database)) as db:
            rows.fill(db, only=["modelfile"])
    _peewee_step(python, release, database, names[last - 1])
    if alembic:
        app.upgrade(f"sqlite:///{database}", app.revisions[0])  # finds every table there and only records itself
    with contextlib.closing(sqlite3.connect(database)) as db:
        rows.fill(db)
        db.execute("UPDATE migratehistory SET migrated_at = '2024-07-01 08:00:' || printf('%02d', id)")
        db.commit()


def make_peewee(app: App, cache: Path) -> None:
    """Make the Peewee files, and try from which of their migrations on the app upgrades a file."""
    python = _peewee_python(cache)
    releases = {version: _release(cache, version) for version in ("0.2.5", "0.3.10")}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (version, last, alembic) in ERAS.items():
            database = Path(scratch, f"{name}.db")
            _peewee_file(app, python, releases[version], database, last, alembic)
            _check_upgrade(app, database)
            print(f"{name}  {'written' if _keep(PEEWEE / f'{name}.sql', _dump(database)) else 'unchanged'}", flush=True)
        fresh = Path(scratch, "fresh.db")
        app.upgrade(f"sqlite:///{fresh}")
        for last in range(1, 19):
            database = Path(scratch, f"at-{last}.db")
            _peewee_file(app, python, releases["0.3.10"], database, last, False)
            try:
                columns = _check_upgrade(app, database)
                outcome = "upgrades, without " + (", ".join(sorted(_columns(fresh) - columns)) or "nothing")
            except Exception as error:  # any error of the app's migrations is the finding
                outcome = "fails: " + str(getattr(error, "orig", error)).splitlines()[0]
            print(f"file left at Peewee migration {last:03}: {outcome}", flush=True)
            if outcome.startswith("upgrades") != (last >= OLDEST_UPGRADABLE):
                raise SystemExit(f"expected upgrades from Peewee migration {OLDEST_UPGRADABLE:03} on")


def _peewee_python(cache: Path) -> Path:
    home = cache / "peewee"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "peewee==3.17.5", "peewee-migrate==1.12.2"], check=True)
    return python


def _release(cache: Path, version: str) -> Path:
    """The release's wheel, unpacked; its dependencies are not wanted."""
    home = cache / f"open-webui-{version}"
    if not home.exists():
        wheels = cache / "wheels"
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, f"open-webui=={version}"], check=True)
        with zipfile.ZipFile(next(wheels.glob(f"open_webui-{version}-*.whl"))) as wheel:
            wanted = [n for n in wheel.namelist() if n.startswith(("apps/webui/internal/migrations/", "utils/misc.py"))]
            wheel.extractall(home, wanted)
    return home
