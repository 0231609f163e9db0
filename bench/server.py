"""PostgreSQL with default settings, in a folder of its own, and the databases in it."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROLE = "webui"
ALEMBIC = """
import os, sys
sys.path.insert(0, "tests/support")
from revisions.app import App
app = App()
for url in os.environ["BENCH_URLS"].split():
    app.upgrade(url)
"""


class Server:
    """A running server. `stop` ends it."""

    def __init__(self, work: Path, programs: Path):
        self.programs = programs
        self.folder = work / f"postgres-{secrets.token_hex(3)}"
        self.folder.mkdir()
        # A server refuses to be root.
        self.identity = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self.identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self.password = secrets.token_hex(8)
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        self.data = self.folder / "data"
        quietly([
            programs / "initdb", "-D", self.data, "-U", ROLE, f"--pwfile={secret}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8",
        ], cwd=self.folder, **self.identity)
        self.port = free_port()
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            # A terminal's Ctrl-C goes to the whole group: the server must outlive who measures.
            self.process = subprocess.Popen(
                [programs / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder,
                 "-c", "listen_addresses=127.0.0.1"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                **self.identity,
            )
        deadline = time.monotonic() + 120
        while b"ready to accept connections" not in self.log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"bench: PostgreSQL did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        self.version = self.ask("SHOW server_version", "postgres")

    def stop(self) -> None:
        """Its fast shutdown, and force if that takes a minute."""
        if self.process.poll() is None:
            self.process.send_signal(2)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)

    def url(self, database: str, port: int | None = None) -> str:
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{port or self.port}/{database}"

    def environment(self, database: str, port: int | None = None) -> dict[str, str]:
        """What tells libpq the same as `url`."""
        return {
            "PGHOST": "127.0.0.1", "PGPORT": str(port or self.port), "PGUSER": ROLE, "PGPASSWORD": self.password,
            "PGDATABASE": database,
        }

    def psql(self, *arguments: str | Path) -> list[str]:
        return [str(self.programs / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", *map(str, arguments)]

    def ask(self, sql: str, database: str) -> str:
        """The answer to `sql`, one row a line, fields separated by tabs."""
        asked = subprocess.run(
            self.psql("-At", "-F", "\t", "-f", "-"), input=sql, text=True, capture_output=True,
            env={**os.environ, **self.environment(database)},
        )
        if asked.returncode:
            raise RuntimeError(f"PostgreSQL refused {sql[:200]}: {asked.stderr.strip()}")
        return asked.stdout.strip("\n")

    def create(self, database: str, template: str) -> None:
        self.drop(database)
        self.ask(f'CREATE DATABASE "{database}" TEMPLATE "{template}"', "postgres")
        # What earlier runs left to write is not this one's to wait for.
        self.ask("CHECKPOINT", "postgres")

    def drop(self, database: str) -> None:
        self.ask(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)', "postgres")

    def size(self, database: str) -> int:
        """Bytes on disk, after a checkpoint."""
        self.ask("CHECKPOINT", database)
        return int(self.ask(f"SELECT pg_database_size('{database}')", database))

    def rows(self, database: str) -> dict[str, int]:
        """The number of rows of every table in `public`."""
        tables = self.tables(database)
        counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM \"{table}\"" for table in tables)
        return {name: int(count) for name, count in (line.split("\t") for line in self.ask(counts, database).splitlines())}

    def tables(self, database: str) -> list[str]:
        return self.ask(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " AND relname <> 'alembic_version' ORDER BY 1", database,
        ).splitlines()


def installed(version: str | None = None) -> Path:
    """The programs of the machine's PostgreSQL, the newest unless `version` says which."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"{version or '*'}/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise SystemExit("bench: no PostgreSQL in /usr/lib/postgresql (scripts/deps debian)")
    return found[-1].parent


def bring_to_head(python: Path, urls: list[str]) -> None:
    """Lets the app's own Alembic make its tables in the databases at `urls`."""
    quietly([python, "-B", "-c", ALEMBIC], cwd=Path(__file__).parents[1], env={**os.environ, "BENCH_URLS": " ".join(urls)})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def quietly(command: list, **options) -> None:
    """Runs `command`, and shows what it said only if it fails."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"bench: {Path(command[0]).name} failed")


@contextmanager
def running(*arguments, **options):
    """A server for the length of a block, ended also by Ctrl-C."""
    server = Server(*arguments, **options)
    try:
        yield server
    finally:
        server.stop()
