"""Moves files of many versions of Open WebUI with many versions of it in the image: see `scripts/images`.

Run with the interpreter that has Open WebUI and psycopg.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import hashlib
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# The packages beside this one, and the comparison of `tests/support/revisions`.
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "revisions")]

import psycopg
from compare import Comparison, sqlite_rows
from images.fill import Fill
from images.image import CACHE, ROOT, Failed, Image, in_order, line_of, versions
from images.picture import picture
from openwebui.compare import differences
from openwebui.ledger import Ledger
from postgres import server

# Versions that cannot upgrade a file from before this revision which has two users: a fault of their own.
CANNOT_UPGRADE_OLDER = {"0.9.6": "b10670c03dd5", "0.10.0": "b10670c03dd5", "0.10.1": "b10670c03dd5"}

_MOST_PROBLEMS = 12


@dataclass
class Case:
    """A file of one version, in an image of another, on a PostgreSQL that the image may have used before."""

    image: str
    file: str
    bootstrapped: bool = False
    # What came of it.
    rows: int = 0
    answers: int = 0
    seconds: float = 0.0
    # Whether the app is asked, before and after.
    asked: bool = True
    problems: list[str] = field(default_factory=list)
    expected_failure: str = ""

    @property
    def name(self) -> str:
        return f"image {self.image:7} file {self.file:7} {'bootstrapped' if self.bootstrapped else 'empty':12}"

    @property
    def verdict(self) -> str:
        if self.problems:
            return f"{len(self.problems)} DIFFERENCES"
        return self.expected_failure or "equal"


class Fixtures:
    """The same files as they are kept in the repository: SQL text, without what lies beside the database."""

    FOLDER = ROOT / "tests/fixtures/images"

    def of(self, version: str) -> tuple[Path, Ledger]:
        folder = Path(tempfile.mkdtemp(prefix="webui-init-fixture-", dir=self._kept.name))
        with closing(sqlite3.connect(folder / "webui.db")) as db:
            db.executescript(gzip.decompress((self.FOLDER / f"{version}.sql.gz").read_bytes()).decode())
        return folder, Ledger(0)

    def __init__(self) -> None:
        self._kept = tempfile.TemporaryDirectory(prefix="webui-init-fixtures-")

    @classmethod
    def make(cls, files: "Files", version: str) -> None:
        filled, _ = files.of(version)
        with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(_copy(filled, Path(folder, "webui.db")))) as db:
            text = "\n".join(db.iterdump()) + "\n"
        cls.FOLDER.mkdir(exist_ok=True)
        # Without a time, so that the same text is the same file.
        (cls.FOLDER / f"{version}.sql.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


class Files:
    """A data folder of each version, filled through its API once and kept in the cache."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()

    def of(self, version: str) -> tuple[Path, Ledger]:
        kept = CACHE / "images" / "filled" / version
        with self._one_at_a_time:
            if not (kept / "ledger.json").is_file():
                self._fill(version, kept)
        return kept / "data", Ledger.read(kept / "ledger.json")

    def _fill(self, version: str, kept: Path) -> None:
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="webui-init-fill-") as name:
            folder = Path(name)
            with Image(version).serving(folder / "data", vectorless=True) as url:
                ledger = Fill(url).run()
            if not (ledger.users and ledger.of("chat")):
                raise SystemExit(f"{version} could not be filled: {ledger.refused}")
            (folder / "kept").mkdir()
            shutil.copytree(folder / "data", folder / "kept" / "data", ignore=shutil.ignore_patterns("cache", "vector_db", "logs"))
            ledger.write(folder / "kept" / "ledger.json")
            shutil.move(folder / "kept", kept)
        print(f"filled {version}: {ledger.counts()}", flush=True)


def run(case: Case, files: Files | Fixtures, program: Path, url: str) -> None:
    """Fills in what came of a case; `url` is an empty database."""
    image = Image(case.image)
    filled, ledger = files.of(case.file)
    with tempfile.TemporaryDirectory(prefix="webui-init-image-") as name:
        folder = Path(name)
        data, upgraded, served = (shutil.copytree(filled, folder / part / "data") for part in ("moved", "upgraded", "served"))
        original = sqlite_rows(_copy(data, folder / "original.db"))
        windows = [int(time.time())]
        try:
            image.upgrade(upgraded / "webui.db")
        except Failed as failure:
            _expect_76(case, image, program, data, url, str(failure))
            return
        windows.append(int(time.time()))
        if case.bootstrapped:
            with image.serving(folder / "bootstrap" / "data", url):
                pass
        before = _snapshot(data)
        case.problems += _expect(_program(program, "plan", image, data, url), 0, "plan")
        begun = time.monotonic()
        case.problems += _expect(_program(program, "migrate", image, data, url), 0, "migrate")
        case.seconds = time.monotonic() - begun
        windows.append(int(time.time()))
        if case.problems:
            return
        if _snapshot(data) != before:
            case.problems.append("the source or its folder has changed")
        with psycopg.connect(url) as pg:
            found = Comparison(
                pg, original, sqlite_rows(_copy(upgraded, folder / "upgraded.db")), image.revisions(),
                (windows[0:2], windows[1:3]), False,
            )
        case.rows = found.rows
        case.problems += found.differences
        case.problems += _expect(_program(program, "verify", image, data, url), 0, "verify")
        again = _program(program, "migrate", image, data, url)
        case.problems += _expect(again, 0, "the second start")
        if "moved and verified" in again.stderr:
            case.problems.append("the second start has moved again")
        if not case.asked:
            return
        known = str(original)
        since = windows[0]
        with image.serving(served) as address:
            left = picture(address, ledger, known, since)
        # The second start: nothing is moved, and the app answers from PostgreSQL.
        with image.serving(data, url, under=program) as address:
            right = picture(address, ledger, known, since)
        case.answers = sum(map(len, right.values()))
        case.problems += [str(found) for found in differences(left, right) if not found.allowed_by()]


def tried(case: Case, files: Files, program: Path, new: Callable[[], str]) -> Case:
    """The case, with whatever came of it."""
    try:
        run(case, files, program, new())
    except Exception as error:  # one case must not end the others
        case.problems.append(f"{type(error).__name__}: {error}")
    return case


def _expect_76(case: Case, image: Image, program: Path, data: Path, url: str, why: str) -> None:
    """The image cannot upgrade this file by itself: the move must end with 76, and say which images can."""
    if case.image not in CANNOT_UPGRADE_OLDER:
        case.problems.append(f"the image cannot upgrade the file: {why.splitlines()[-1]}")
        return
    before = _snapshot(data)
    run = _program(program, "migrate", image, data, url)
    if run.returncode != 76 or "0.10.2 or later" not in run.stderr:
        case.problems += _expect(run, 76, "migrate")
    if _snapshot(data) != before:
        case.problems.append("the source or its folder has changed")
    case.expected_failure = "76: the image cannot upgrade it"


def _copy(data: Path, to: Path) -> Path:
    """A copy of the database with its write-ahead log: opening it would change the original."""
    for suffix in ("", "-wal"):
        source = data / f"webui.db{suffix}"
        if source.exists():
            shutil.copy(source, f"{to}{suffix}")
    return to


def _snapshot(data: Path) -> dict[str, tuple[int, int]]:
    """Every file but the receipt, which a move leaves."""
    files = (path for path in data.rglob("*") if path.is_file() and path.name != "webui-init.json")
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def _program(program: Path, command: str, image: Image, data: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, command], env=image.environment(data, url), cwd=data.parent, capture_output=True, text=True, timeout=600
    )


def _expect(run: subprocess.CompletedProcess[str], code: int, what: str) -> list[str]:
    if run.returncode == code:
        return []
    last = "\n      ".join(run.stderr.splitlines()[-14:])
    return [f"{what}: exit status {run.returncode}, not {code}\n      {last}"]


def older_lines(version: str, all_versions: list[str]) -> list[str]:
    """The newest of each older minor line."""
    newest: dict[str, str] = {}
    for other in all_versions:
        if in_order(other) < in_order(version) and line_of(other) != line_of(version):
            newest[line_of(other)] = other
    return list(newest.values())


class Kept:
    """The results of a run, in the cache, so that one that was cut off can go on. They are those of one program."""

    def __init__(self, program: Path, resume: bool) -> None:
        digest = hashlib.sha256(program.read_bytes()).hexdigest()[:16]
        self._path = CACHE / "images" / f"results-{digest}.json"
        self._found = json.loads(self._path.read_text()) if resume and self._path.exists() else {}

    def of(self, case: Case) -> Case | None:
        found = self._found.get(case.name)
        return Case(**found) if found and not found["problems"] else None

    def all_of(self, wanted: list[Case]) -> list[Case]:
        return [Case(**self._found[case.name]) for case in wanted if case.name in self._found]

    def add(self, case: Case) -> None:
        self._found[case.name] = vars(case)
        self._path.write_text(json.dumps(self._found))


def check(pairs: list[str], program: Path) -> int:
    """Each IMAGE:FILE[:bootstrapped]=URL from the fixtures, without asking the app."""
    failed, fixtures = 0, Fixtures()
    for pair in pairs:
        what, url = pair.split("=", 1)
        image, file, *bootstrapped = what.split(":")
        case = Case(image, file, bool(bootstrapped), asked=False)
        run(case, fixtures, program, url)
        print(f"{case.name} {case.rows:5} rows {case.seconds:6.2f} s to move  {case.verdict}", *case.problems, sep="\n    ", flush=True)
        failed += bool(case.problems)
    return 1 if failed else 0


def cases(arguments: argparse.Namespace) -> list[Case]:
    known = versions()
    if arguments.new:
        version = arguments.new
        known = [*known, version] if version not in known else known
        older = older_lines(version, known)
        return [Case(version, version), Case(version, version, True), *(Case(version, file) for file in older[-4:])]
    chosen = arguments.only or known
    # Each with its own file first: what a run that is cut off has done is then of every image.
    found = [Case(version, version, bootstrapped) for version in chosen for bootstrapped in (False, True)]
    for version in chosen:
        older = older_lines(version, known)
        if arguments.quick:
            older = older[:1] + older[1:][-1:]
        for number, file in enumerate(older):
            found.append(Case(version, file, bootstrapped=number % 2 == 1))
    return found


@contextmanager
def databases() -> Iterator:
    """Gives the URL of a new empty database at each call."""
    with server(CACHE) as base:
        numbers = itertools.count()

        def new() -> str:
            count = next(numbers)
            with psycopg.connect(base + "postgres", autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE image_{count}")
            return f"{base}image_{count}"

        yield new


def table(done: list[Case], command: str) -> str:
    """docs/versions.md."""
    images = sorted({case.image for case in done}, key=in_order)
    lines = [
        "# Versions", "",
        "Which versions of Open WebUI were moved, by the real wheels from PyPI, each file filled through the API of the version",
        "that it is of. *Equal* means: every value in PostgreSQL is what the image's own upgrade of a copy of the file makes of it,",
        "`plan` foretold a good end, `verify` finds every row, the second start moves nothing, and every answer of the API is the same on",
        "PostgreSQL as on SQLite. *Bootstrapped* means that the image was started once on that PostgreSQL before.", "",
        f"Written by `{command}` on {datetime.date.today()}.", "",
        "| image | file | PostgreSQL | rows | answers | result |", "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for image in images:
        for case in (case for case in done if case.image == image):
            lines.append(
                f"| {image} | {case.file} | {'bootstrapped' if case.bootstrapped else 'empty'} | {case.rows or '–'} | {case.answers or '–'} | {case.verdict} |"
            )
    differing = [case for case in done if case.problems]
    if differing:
        lines += ["", "What differs:", ""]
        lines += [f"- image {case.image}, file {case.file}: `{problem}`" for case in differing for problem in case.problems[:_MOST_PROBLEMS]]
    good = sum(not case.problems for case in done)
    return "\n".join([*lines, "", f"{len(done)} moves, {good} as they should be."]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/images", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="VERSION", help="these images")
    parser.add_argument("--quick", action="store_true", help="each image with its own file, and those of the oldest and the newest older line")
    parser.add_argument("--new", metavar="VERSION", help="a version that is not in tests/support/images/versions")
    parser.add_argument("--make", action="store_true", help="make tests/fixtures/images")
    parser.add_argument("--check", nargs="+", metavar="IMAGE:FILE=URL", help="move a fixture into an empty database, and compare")
    parser.add_argument("--resume", action="store_true", help="take the good results of a run with the same program that was cut off")
    parser.add_argument("--kept", action="store_true", help="only write the table again, of what the cache has of this program's runs")
    parser.add_argument("--jobs", type=int, default=2, help="moves at a time (2)")
    parser.add_argument("--write", type=Path, help="write the table here")
    parser.add_argument("--write-as", default="", help="the options that the table names")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/webui-init")
    arguments = parser.parse_args()
    done: list[Case] = []
    files = Files()
    if arguments.make:
        for version in versions():
            Fixtures.make(files, version)
        return 0
    if arguments.check:
        return check(arguments.check, arguments.program.absolute())
    all_cases = cases(arguments)
    if arguments.kept:
        done = Kept(arguments.program, True).all_of(sorted(all_cases, key=lambda case: in_order(case.image)))
        arguments.write.write_text(table(done, f"scripts/images {arguments.write_as}".strip()), encoding="utf-8")
        return 0
    names = [case.name for case in all_cases]
    with databases() as new, ThreadPoolExecutor(arguments.jobs) as pool:
        kept = Kept(arguments.program, arguments.resume)
        done += [case for case in map(kept.of, all_cases) if case]
        left = [case for case in all_cases if not kept.of(case)]
        running = [pool.submit(tried, case, files, arguments.program.absolute(), new) for case in left]
        for ended in as_completed(running):
            case = ended.result()
            done.append(case)
            kept.add(case)
            print(f"{case.name} {case.rows:5} rows {case.answers:5} answers {case.seconds:6.2f} s to move  {case.verdict}", flush=True)
            for problem in case.problems[:_MOST_PROBLEMS]:
                print(f"    {problem}", flush=True)
            if arguments.write:
                in_turn = sorted(done, key=lambda case: (in_order(case.image), names.index(case.name)))
                arguments.write.write_text(table(in_turn, f"scripts/images {arguments.write_as}".strip()), encoding="utf-8")
    failed = sum(bool(case.problems) for case in done)
    print(f"{len(done)} moves, {failed} not as they should be")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
