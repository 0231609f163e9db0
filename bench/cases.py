"""The cases, each measured by itself and kept in the record."""

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from . import cramped, peers, results, starts, webui_db
from .network import SlowLine
from .server import Server, bring_to_head, installed, quietly, running
from .ways import Ours, OursCount, Outcome, Psql, PsqlPlain, Way

ROOT = Path(__file__).parents[1]
OURS = {way.name: way for way in (Ours, OursCount)}
PSQL = {way.name: way for way in (Psql, PsqlPlain)}
PEERS = {way.name: way for way in (peers.Pgloader, peers.SqliteMigration, peers.PostgresMigration)}
WAYS = {**OURS, **PSQL, **PEERS}
CASES = {
    "binary": "the size of the binary; builds the static one",
    "move": "all ways of moving, or some: " + ", ".join(WAYS),
    "starts": "a start with nothing to move",
    "growth": "ours with files of --sizes",
    "large-rows": "memory, with rows of 64 MB",
    "slow-network": "a round trip of 20 ms and 100 Mbit/s",
    "small-server": "a tenth of a processor and 256 MB; needs root",
}
TEMPLATE = "template_head"


class Bench:
    """One run over the chosen cases."""

    def __init__(self, arguments: argparse.Namespace, chosen: set[str], work: Path):
        self.arguments, self.chosen, self.work = arguments, chosen, work
        self.cache = Path(os.environ.get("WEBUI_CACHE_DIR") or ROOT / ".cache")
        self.binary = arguments.binary.resolve()
        self.programs = installed(arguments.postgres)
        self.empty = work / "empty.db"
        self.session = int(time.time())
        self.record = results.Record(ROOT / "bench" / "out" / "results.json")

    def run(self) -> None:
        if self.chosen & set(PEERS):
            peers.install(self.cache / "bench")
        if "binary" in self.chosen:
            self.binary_sizes()
        with self.prepared_server() as server:
            self.note_setting(server)
            if self.chosen & {"starts", *WAYS}:
                self.moves(server)
            for case, measure in (("growth", self.growth), ("large-rows", self.large_rows), ("slow-network", self.slow_network)):
                if case in self.chosen:
                    measure(server)
        if "small-server" in self.chosen:
            self.small_server()

    @contextlib.contextmanager
    def prepared_server(self):
        """A server with the app's schema as a template, and an empty SQLite file at the same revision."""
        with running(self.work, self.programs) as server:
            server.ask(f'CREATE DATABASE "{TEMPLATE}"', "postgres")
            self.empty.unlink(missing_ok=True)
            python = self.cache / "openwebui" / "bin" / "python"
            bring_to_head(python, [server.url(TEMPLATE), f"sqlite:///{self.empty}"])
            yield server

    def note_setting(self, server: Server) -> None:
        told = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True).stdout
        self.record.note("versions", {
            "webui-init": told.split()[-1], "PostgreSQL": server.version.split()[0], "Python": platform.python_version(),
            **peers.versions(),
        })
        self.record.note("machine", results.machine())

    def source(self, size: int, largest: int = 0) -> webui_db.Source:
        source = webui_db.make(self.cache / "bench", self.empty, size, largest)
        for path in source.path.parent.iterdir():  # into the page cache, for every way alike
            with open(path, "rb") as file:
                while file.read(1 << 22):
                    pass
        return source

    def ours(self, server: Server, source: webui_db.Source, kind: type[Ours] = Ours) -> Ours:
        return kind(server, source, self.work, TEMPLATE, binary=self.binary)

    def fill(self, server: Server, source: webui_db.Source, database: str) -> None:
        """The database from which prepared files are made."""
        server.create(database, TEMPLATE)
        command, environment = self.ours(server, source).command(database)
        quietly(command, env={**os.environ, **environment})
        server.ask("CHECKPOINT", database)

    def measure(self, case: str, way: Way) -> Outcome:
        """One run, told on stderr. Ours and the yardstick may not fail."""
        outcome = way.run(self.arguments.timeout)
        outcome.session = self.session
        lost = sum(outcome.lost.values())
        say(
            f"{case}: {way.name}: {outcome.seconds:.2f} s, {outcome.peak / 1e6:.0f} MB, database {outcome.size / 1e6:.0f} MB"
            + (f", {lost} rows lost" if lost else "") + (f", failed: {outcome.failure}" if outcome.code else "")
        )
        if not way.peer and (outcome.code or outcome.lost):
            raise SystemExit((self.work / f"{way.name}.log").read_text() + f"\nbench: {way.name} failed")
        return outcome

    def moves(self, server: Server) -> None:
        source = self.source(self.arguments.size, self.arguments.largest)
        self.fill(server, source, "filled")
        basis = (server, source, self.work, TEMPLATE)
        ways: list[Way] = []
        for name in WAYS:
            if name in self.chosen and name in OURS:
                ways.append(self.ours(server, source, OURS[name]))
            elif name in self.chosen and name in PSQL:
                ways.append(PSQL[name](*basis, filled="filled"))
            elif name in self.chosen:
                ways.append(PEERS[name](*basis))
        if "starts" in self.chosen:
            say("starts")
            self.record.note("starts", {
                "with marker": starts.with_marker(server, "filled", source.path, self.binary, self.arguments.starts),
                "pass-through": starts.pass_through(self.binary, 2 * self.arguments.starts),
            })
        for way in ways:
            way.prepare()
        server.drop("filled")
        rounds: dict[str, list[dict]] = {way.name: [] for way in ways}
        for turn in range(self.arguments.runs):
            for way in ways:
                if not way.peer or turn < self.arguments.peer_runs:
                    rounds[way.name].append(self.measure(f"round {turn + 1}", way).record())
        if ways:
            self.record.moves(source, rounds)

    def growth(self, server: Server) -> None:
        sizes = self.arguments.sizes
        sources = [self.source(size) for size in sizes]
        runs: list[list[dict]] = [[] for _ in sources]
        for _ in range(self.arguments.growth_runs):
            for source, told in zip(sources, runs):
                told.append(self.measure(f"growth: {source.bytes / 1e6:.0f} MB", self.ours(server, source)).record())
        self.record.note("growth", [
            {"size": size, "bytes": source.bytes, "largest": source.largest, "runs": told}
            for size, source, told in zip(sizes, sources, runs)
        ])

    def large_rows(self, server: Server) -> None:
        source = self.source(200_000_000, self.arguments.largest or 64_000_000)
        run = self.measure("large rows", self.ours(server, source)).record()
        self.record.note("large-rows", {"bytes": source.bytes, "largest": source.largest, "run": run})

    def slow_network(self, server: Server) -> None:
        told = {}
        for name, source in (("many small tables", webui_db.quick(self.work)), ("chats", self.source(self.arguments.network_size))):
            self.fill(server, source, "filled")
            psql = Psql(server, source, self.work, TEMPLATE, filled="filled")
            ways = [self.ours(server, source), self.ours(server, source, OursCount), psql]
            psql.prepare()
            server.drop("filled")
            tables = sum(1 for rows in source.rows.values() if rows)
            told[name] = {"bytes": source.bytes, "tables": tables, "ways": {way.name: [] for way in ways}}
            for turn in range(self.arguments.network_runs):
                for way in ways:
                    with SlowLine(server.port) as line:
                        way.port = line.port
                        run = self.measure(f"slow network: {name}", way).record()
                    told[name]["ways"][way.name].append({**run, "there": line.carried[0], "back": line.carried[1]})
        self.record.note("slow-network", told)

    def small_server(self) -> None:
        try:
            # The server ends before the group goes.
            with cramped.group() as folders, self.prepared_server() as server:
                source = self.source(self.arguments.small_size)
                cramped.confine(folders, server.process.pid)
                ways = {kind.name: self.measure("small server", self.ours(server, source, kind)).record() for kind in (Ours, OursCount)}
                self.record.note("small-server", {"bytes": source.bytes, "ways": ways})
        except cramped.Unavailable as reason:
            say(f"small server: skipped, {reason}")
            self.record.note("small-server", {"skipped": str(reason)})

    def binary_sizes(self) -> None:
        """As the Dockerfile builds it."""
        say("building the static binary")
        host = subprocess.run(["rustc", "--print", "host-tuple"], capture_output=True, text=True, check=True).stdout.strip()
        quietly(
            ["cargo", "rustc", "--release", "--locked", "--quiet", "--target", host, "--bin", "webui-init", "--",
             "-C", "link-arg=-Wl,-z,pack-relative-relocs"],
            cwd=ROOT, env={**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"},
        )
        target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
        self.record.note("binary", {
            "dynamic": self.binary.stat().st_size, "static": (target / host / "release" / "webui-init").stat().st_size,
        })


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
