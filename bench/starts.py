"""What a start costs that has nothing to move: with the marker present, and without PostgreSQL at all."""

import os
import time
from pathlib import Path

from .process import clean_environment
from .server import Server


def seconds(command: list[str], environment: dict[str, str], quiet: int) -> float:
    begun = time.perf_counter()
    child = os.posix_spawnp(command[0], command, environment, file_actions=[
        (os.POSIX_SPAWN_DUP2, quiet, 1), (os.POSIX_SPAWN_DUP2, quiet, 2),
    ])
    _, status = os.waitpid(child, 0)
    spent = time.perf_counter() - begun
    if status:
        raise SystemExit(f"bench: {command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return spent


def pairs(count: int, ours, theirs) -> dict[str, list[float]]:
    """Seconds of `ours` and `theirs`, in turn, so that whatever the machine does meets both."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    try:
        for n in range(-3, count):  # the first three warm up
            for name, (command, environment) in (("ours", ours), ("theirs", theirs)):
                took = seconds([str(part) for part in command], environment, quiet)
                if n >= 0:
                    spent[name].append(took)
    finally:
        os.close(quiet)
    return spent


def with_marker(server: Server, database: str, source: Path, binary: Path, count: int) -> dict[str, list[float]]:
    """`webui-init boot -- true` against `psql -Xqc 'select 1'`, on a database that was moved into."""
    environment = clean_environment()
    ours = {**environment, "DATABASE_URL": server.url(database), "WEBUI_INIT_SQLITE_PATH": str(source), "WEBUI_SECRET_KEY": "bench"}
    url = server.url(database)
    return pairs(
        count, ([binary, "boot", "--", "true"], ours),
        ([server.programs / "psql", "-Xqc", "select 1", url], environment),
    )


def pass_through(binary: Path, count: int) -> dict[str, list[float]]:
    """`webui-init boot -- true` without a DATABASE_URL against `env true`."""
    environment = clean_environment()
    return pairs(count, ([binary, "boot", "--", "true"], environment), (["env", "true"], environment))
