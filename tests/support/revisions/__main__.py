"""Moves webui.db files of old revisions with webui-init, and compares with the app's own upgrade of each.

Run by `scripts/revisions` and by `tests/it/revisions.rs`, with the interpreter that has Open WebUI.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import psycopg

import fixtures
from app import App, serve
from compare import Comparison, sqlite_rows
from postgres import server

ROOT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("WEBUI_CACHE_DIR") or ROOT / ".cache")


@dataclass
class Outcome:
    """One file's result; figures are 0 where the move itself failed."""

    tables: int
    rows: int
    values: int
    kept_aside: int
    seconds: float
    problems: list[str]


def _environment(folder: Path, url: str, schema: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": url, "WEBUI_SECRET_KEY": "x", **schema,
    }


def _files(folder: Path) -> dict[str, str]:
    """Every file but the receipt, which a move leaves."""
    files = (path for path in folder.iterdir() if path.name != "webui-init.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check(app: App, program: Path, fixture: Path, url: str, schema: dict[str, str], frozen: bool) -> Outcome:
    """Move `fixture` into the database at `url`, which holds nothing but perhaps the schema, and compare.

    `schema` is the environment that tells the program how to have the schema made; `frozen` that this goes
    through `app.serve`, whose clock and random numbers are those of the upgrade that is compared with.
    """
    with tempfile.TemporaryDirectory(prefix="webui-init-revision-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        fixtures.load(fixture, folder / "data")
        # Opening a database with a WAL changes it, so whoever looks has a copy.
        original, upgraded = (shutil.copytree(folder / "data", folder / copy) / "webui.db" for copy in ("original", "upgraded"))
        windows = [int(time.time())]
        app.upgrade(f"sqlite:///{upgraded}", frozen=frozen)
        windows.append(int(time.time()))
        before, started = _files(folder / "data"), time.monotonic()
        run = subprocess.run([program, "migrate"], env=_environment(folder, url, schema), capture_output=True, text=True, timeout=300)
        seconds = time.monotonic() - started
        windows.append(int(time.time()))
        if run.returncode:
            last = "\n    ".join(run.stderr.splitlines()[-12:])
            return Outcome(0, 0, 0, 0, seconds, [f"exit status {run.returncode}\n    {last}"])
        problems = [] if _files(folder / "data") == before else ["the source or its folder has changed"]
        with psycopg.connect(url) as pg:
            found = Comparison(pg, sqlite_rows(original), sqlite_rows(upgraded), app.revisions, (windows[0:2], windows[1:3]), frozen)
            markers = [row[0] for row in pg.execute("SELECT source_revision FROM webui_init.migration")]
        if len(markers) != 1:
            problems.append(f"{len(markers)} markers")
        return Outcome(len(found.catalogue.types), found.rows, found.values, sum(found.kept_aside.values()), seconds, problems + found.differences)


def _report(name: str, outcome: Outcome) -> None:
    verdict = "equal" if not outcome.problems else f"{len(outcome.problems)} DIFFERENCES"
    print(f"{name:28} {outcome.rows:5} rows {outcome.values:6} values {outcome.kept_aside:3} kept aside {outcome.seconds:6.2f} s  {verdict}", flush=True)
    for problem in outcome.problems[:20]:
        print(f"    {problem}", flush=True)


def _total(outcomes: list[Outcome]) -> int:
    failed = sum(bool(outcome.problems) for outcome in outcomes)
    print(f"{len(outcomes)} files, {sum(o.rows for o in outcomes)} rows, {sum(o.values for o in outcomes)} values compared, "
          f"{sum(o.kept_aside for o in outcomes)} rows kept aside, {failed} files with differences")
    return 1 if failed or not outcomes else 0


def run_all(app: App, program: Path, real: bool, wanted: list[str]) -> int:
    """Every kept file into a database of its own, cloned from one that the app's Alembic brought to head."""
    outcomes = []
    with server(CACHE) as base, tempfile.TemporaryDirectory(prefix="webui-init-schema-") as folder:
        os.chmod(folder, 0o755)
        with psycopg.connect(base + "postgres", autocommit=True) as admin:
            admin.execute("CREATE DATABASE head")
            app.upgrade(base + "head")
            answering = serve(app, f"{folder}/app")
            threading.Thread(target=answering.serve_forever, daemon=True).start()
            command = {"WEBUI_INIT_SCHEMA_COMMAND": f"'{sys.executable}' -IS '{Path(__file__).with_name('ask.py')}' '{folder}/app'"}
            for number, fixture in enumerate(path for path in fixtures.paths() if not wanted or any(w in path.name for w in wanted)):
                admin.execute(f"CREATE DATABASE moved_{number} {'' if real else 'TEMPLATE head'}")
                outcome = check(app, program, fixture, f"{base}moved_{number}", app.environment() if real else command, frozen=not real)
                _report(fixture.name.removesuffix(".gz").removesuffix(".sql"), outcome)
                outcomes.append(outcome)
                admin.execute(f"DROP DATABASE moved_{number} WITH (FORCE)")
    return _total(outcomes)


def run_pairs(app: App, program: Path, pairs: list[str]) -> int:
    """Each FILE=URL with the app's Alembic as the program itself starts it."""
    outcomes = []
    for pair in pairs:
        name, url = pair.split("=", 1)
        outcomes.append(check(app, program, fixtures.FOLDER / name, url, app.environment(), frozen=False))
        _report(name, outcomes[-1])
    return _total(outcomes)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/revisions", description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--make", action="store_true", help="make tests/fixtures/revisions with the app's Alembic")
    what.add_argument("--make-peewee", action="store_true", help="make tests/fixtures/peewee with the wheels of that time")
    what.add_argument("--all", nargs="*", metavar="PART", help="move and compare every file, or those whose name has a PART")
    what.add_argument("--check", nargs="+", metavar="FILE=URL", help="move and compare a file of tests/fixtures into an empty database")
    parser.add_argument("--real", action="store_true", help="with --all: start the app's Alembic anew for each step, as in a container")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/webui-init")
    arguments = parser.parse_args()
    program = arguments.program.absolute()
    app = App()
    with contextlib.chdir(tempfile.gettempdir()):
        if arguments.make:
            fixtures.make(app)
        elif arguments.make_peewee:
            fixtures.make_peewee(app, CACHE)
        elif arguments.check:
            return run_pairs(app, program, arguments.check)
        else:
            return run_all(app, program, arguments.real, arguments.all)
    return 0


if __name__ == "__main__":
    sys.exit(main())
