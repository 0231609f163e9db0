"""A PostgreSQL server of the campaign's own, on a free port of 127.0.0.1, gone when the process is."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg


def _programs(cache: Path) -> Path:
    """Debian's newest server, else the one that `scripts/deps postgres` unpacks."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) + sorted(cache.glob("postgres*/bin/postgres"))
    if not found:
        raise SystemExit("no PostgreSQL server on this machine: scripts/deps postgres")
    return found[0].parent


@contextlib.contextmanager
def server(cache: Path):
    """Yields the URL of the superuser, without a database's name: append one."""
    programs = _programs(cache)
    folder = Path(tempfile.mkdtemp(prefix="webui-init-revisions-"))
    user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None  # a server refuses to run as root
    if user:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    identity = {"user": user, "group": user, "extra_groups": []} if user else {}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "--no-sync"],
                   check=True, stdout=subprocess.DEVNULL, cwd=folder, **identity)
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"],
            stdout=log, stderr=log, cwd=folder, **identity)
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/"
        for _ in range(300):
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url + "postgres"):
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
        yield url
    finally:
        process.send_signal(2)  # SIGINT: fast shutdown
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
