"""Owns the Docker engine: runs containers, volumes and networks under one label, so that they can all be
removed again. What is inside them is the checks' business."""

import json
import os
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PULL = bool(os.environ.get("SMOKE_PULL"))
BASE = "debian:bookworm-slim" if PULL else "webui-init-smoke/base"
OPEN_WEBUI = "ghcr.io/open-webui/open-webui:main-slim" if PULL else "webui-init-smoke/open-webui"
# One that still runs Peewee beside Alembic.
OLDER_OPEN_WEBUI = "ghcr.io/open-webui/open-webui:v0.9.5-slim" if PULL else "webui-init-smoke/open-webui-older"
POSTGRES = "postgres:17" if PULL else "webui-init-smoke/postgres"
BUILDER = "rust:1-slim-bookworm" if PULL else "webui-init-smoke/rust"
IMAGE = os.environ.get("SMOKE_IMAGE") or "webui-init-smoke/webui-init"

OLDER_IMAGE = "webui-init-smoke/webui-init-older"

RUN = uuid.uuid4().hex[:8]
LABEL = f"webui-init-smoke={RUN}"


def docker(*words, check=True, timeout=300, stdin=None):
    """Runs `docker WORDS…` and returns the completed process, with text in stdout and stderr."""
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, timeout=timeout, input=stdin)
    assert not check or done.returncode == 0, f"docker {' '.join(map(str, words))}: {done.stderr}{done.stdout}"
    return done


def build(tag, context, *words):
    """Builds an image; several minutes when the engine has no layers of it yet. The image that had the name
    before is removed, but what the two share."""
    before = docker("images", "--quiet", "--no-trunc", tag).stdout.split()
    docker("build", "--tag", tag, *words, context, timeout=3000)
    if before and before != docker("images", "--quiet", "--no-trunc", tag).stdout.split():
        docker("rmi", *before, check=False)


def image(tag):
    """What `docker image inspect` says."""
    return json.loads(docker("image", "inspect", tag).stdout)[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, check, timeout=60, pause=0.25):
    """Calls `check` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(pause)


class Container:
    """A container that was started. Options are long options of `docker run`, without the dashes."""

    def __init__(self, name_or_id, port=None):
        self.id = name_or_id
        self.port = port

    @classmethod
    def run(cls, tag, *command, env=None, volumes=None, serves=False, **options):
        port = free_port() if serves else None
        words = ["run", "--detach", "--label", LABEL]
        for variable, value in (env or {}).items():
            words += ["--env", f"{variable}={value}"]
        for name, path in (volumes or {}).items():
            words += ["--volume", f"{name}:{path}"]
        for option, value in options.items():
            words += [f"--{option.replace('_', '-')}={value}"]
        if serves:
            words += ["--publish", f"127.0.0.1:{port}:8080"]
        return cls(docker(*words, tag, *command).stdout.strip(), port)

    @property
    def state(self):
        return json.loads(docker("inspect", "--format", "{{json .State}}", self.id).stdout)

    @property
    def restarts(self):
        return int(docker("inspect", "--format", "{{.RestartCount}}", self.id).stdout)

    def logs(self, since=None):
        """Standard output and standard error, one after the other."""
        done = docker("logs", *(["--since", since] if since else []), self.id)
        return done.stdout + done.stderr

    def exit_code(self, timeout=120):
        """Waits for the end."""
        return int(docker("wait", self.id, timeout=timeout).stdout)

    def sh(self, script, check=True):
        return docker("exec", self.id, "sh", "-c", script, check=check).stdout

    def pid1(self):
        """The words of the command line that is process 1."""
        return self.sh("cat /proc/1/cmdline").split("\0")[:-1]

    def processes(self):
        """The command lines of all processes, as the host sees them."""
        return docker("top", self.id, "-o", "pid,args").stdout.splitlines()[1:]

    def stop(self):
        """`docker stop`; returns how many seconds it took."""
        started = time.monotonic()
        docker("stop", "--time", "30", self.id)
        return time.monotonic() - started

    def start(self):
        docker("start", self.id)
        return self

    def kill(self):
        docker("kill", self.id)

    def remove(self):
        docker("rm", "--force", "--volumes", self.id, check=False)


def network():
    return docker("network", "create", "--label", LABEL, f"webui-init-smoke-{uuid.uuid4().hex[:8]}").stdout.strip()


def volume():
    return docker("volume", "create", "--label", LABEL).stdout.strip()


def in_volume(name, script, mode="ro"):
    """Runs a shell script as root with the volume at /data."""
    return docker("run", "--rm", "--volume", f"{name}:/data:{mode}", "--entrypoint", "sh", BASE, "-c", script).stdout


def copy_of(name):
    """A new volume with the same files, owners and times."""
    copy = volume()
    docker("run", "--rm", "--volume", f"{name}:/from:ro", "--volume", f"{copy}:/to", "--entrypoint", "cp", BASE,
           "-a", "/from/.", "/to/")
    return copy


def database_files(name):
    """File name, size and SHA-256 of webui.db and everything beside it that SQLite would make."""
    return in_volume(name, "cd /data && for file in webui.db*; do stat -c '%n %s' $file; sha256sum $file; done")


class Postgres(Container):
    """A PostgreSQL with the role and the database `openwebui`, known as `postgres` on its network."""

    PASSWORD = "c4n4ry p@ss:/w?rd#%"
    URL_PASSWORD = "c4n4ry%20p%40ss%3A%2Fw%3Frd%23%25"

    @classmethod
    def launch(cls, on):
        made = cls.run(POSTGRES, network=on, network_alias="postgres", env={
            "POSTGRES_DB": "openwebui", "POSTGRES_USER": "openwebui", "POSTGRES_PASSWORD": cls.PASSWORD})
        return made

    def ready(self):
        eventually("PostgreSQL is up", lambda: docker(
            "exec", self.id, "pg_isready", "--host=127.0.0.1", "--dbname=openwebui", check=False).returncode == 0)
        return self

    @classmethod
    def url(cls, password=None, database="openwebui"):
        return f"postgresql://openwebui:{password or cls.URL_PASSWORD}@postgres:5432/{database}"

    def query(self, sql):
        """The answer's lines, columns separated by `|`."""
        return docker("exec", self.id, "psql", "--username=openwebui", "--dbname=openwebui", "--no-psqlrc",
                      "--tuples-only", "--no-align", "--command", sql).stdout.splitlines()

    def moves(self):
        """How many moves are recorded."""
        if self.query("select to_regclass('webui_init.migration') is null") == ["t"]:
            return 0
        return int(self.query("select count(*) from webui_init.migration")[0])


class Compose:
    """The repository's compose.yaml, under a project name of its own."""

    def __init__(self, volume_name):
        self.project = f"webui-init-smoke-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        self.files = ["compose.yaml"] + ([] if PULL else ["compose.offline.yaml"])
        self.secret = tempfile.NamedTemporaryFile("w", prefix="postgres_password-", suffix="")
        self.secret.write(Postgres.PASSWORD + "\n")
        self.secret.flush()
        os.chmod(self.secret.name, 0o644)
        self.environment = {
            **os.environ,
            "OPEN_WEBUI_VOLUME": volume_name,
            "OPEN_WEBUI_PORT": str(self.port),
            "OPEN_WEBUI_IMAGE": OPEN_WEBUI,
            "WEBUI_INIT_IMAGE": IMAGE,
            "POSTGRES_PASSWORD_FILE": self.secret.name,
        }

    def __call__(self, *words, check=True, timeout=300):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        command = ["docker", "compose"] if plugin else ["docker-compose"]
        for file in self.files:
            command += ["--file", file]
        done = subprocess.run([*command, "--project-name", self.project, *words], cwd=ROOT, env=self.environment,
                              capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"compose {' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def service(self, name):
        port = self.port if name == "open-webui" else None
        return (Postgres if name == "postgres" else Container)(self("ps", "--quiet", name).strip(), port)

    def down(self):
        # Not --volumes: the volume with the old installation is the caller's.
        self("down", "--timeout", "5", check=False)
        docker("volume", "rm", "--force", f"{self.project}_postgres", check=False)


def remove_everything():
    """Whatever the checks of this run have left."""
    for containers in [docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").stdout.split()]:
        if containers:
            docker("rm", "--force", "--volumes", *containers)
    for kind in ["volume", "network"]:
        names = docker(kind, "ls", "--quiet", "--filter", f"label={LABEL}").stdout.split()
        if names:
            docker(kind, "rm", *names, check=False)
