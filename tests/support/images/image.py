"""One version of Open WebUI as an image holds it: its interpreter, its migrations, its server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openwebui.client import wait_until_healthy

ROOT = Path(__file__).parents[3]
CACHE = Path(os.environ.get("WEBUI_CACHE_DIR") or ROOT / ".cache").absolute()

_START_SECONDS = 180
_END_SECONDS = 30
_STEP_SECONDS = 300


def versions() -> list[str]:
    """Those that the tests hold, the oldest first."""
    text = Path(__file__).with_name("versions").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def line_of(version: str) -> str:
    """The minor line that a version belongs to: 0.6 of 0.6.43."""
    return ".".join(version.split(".")[:2])


def in_order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


class Failed(Exception):
    """The app itself did not do what was asked of it; the text is the end of what it said."""


class Image:
    """An installed version."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.python = CACHE / "images" / version / "bin/python"
        if not self.python.is_file():
            raise SystemExit(f"Open WebUI {version} is not installed: scripts/deps image:{version}")
        self.site = next((CACHE / "images" / version / "lib").glob("python3*/site-packages"))
        self.package = self.site / "open_webui"

    def revisions(self) -> list[str]:
        """Of its one line of migrations, base first; read off the scripts."""
        after: dict[str | None, str] = {}
        for script in (self.package / "migrations/versions").glob("*.py"):
            text = script.read_text(encoding="utf-8")
            found = {
                name: re.search(rf"^{name}\b[^=\n]*=\s*(?:['\"](\w+)['\"]|None)", text, re.MULTILINE)
                for name in ("revision", "down_revision")
            }
            after[found["down_revision"][1]] = found["revision"][1]
        line: list[str] = []
        while (following := after.get(line[-1] if line else None)) is not None:
            line.append(following)
        return line

    def environment(self, data_dir: Path, url: str | None) -> dict[str, str]:
        """Slim, offline, no models, everything writable inside `data_dir`'s parent."""
        static = data_dir.parent / "static"
        for folder in (data_dir, static):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir.parent),
            "TMPDIR": str(data_dir.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATA_DIR": str(data_dir),
            "STATIC_DIR": str(static),
            "FRONTEND_BUILD_DIR": str(self.package / "frontend"),
            "USE_SLIM_DOCKER": "true",
            # The API's own description of itself is served in development only.
            "ENV": "dev",
            "WEBUI_SECRET_KEY": "for-tests-only",
            "OFFLINE_MODE": "true",
            "ENABLE_VERSION_UPDATE_CHECK": "false",
            "ENABLE_OLLAMA_API": "false",
            "ENABLE_OPENAI_API": "false",
            "RAG_EMBEDDING_ENGINE": "openai",
            "BYPASS_EMBEDDING_AND_RETRIEVAL": "true",
            "ENABLE_CHANNELS": "true",
            "ENABLE_API_KEY": "true",
            "ENABLE_API_KEYS": "true",
            "VECTOR_DB": "qdrant",
            "QDRANT_URI": "http://127.0.0.1:9",
            "SCARF_NO_ANALYTICS": "true",
            "DO_NOT_TRACK": "true",
            "ANONYMIZED_TELEMETRY": "false",
            "GLOBAL_LOG_LEVEL": "WARNING",
            "WEBUI_INIT_APP_DIR": str(self.site),
            "WEBUI_INIT_PYTHON": str(self.python),
            **({"DATABASE_URL": url} if url else {}),
        }

    def upgrade(self, database: Path) -> None:
        """Its own upgrade of a SQLite file. Raises `Failed` with the app's words."""
        run = subprocess.run(
            [self.python, "-m", "alembic", "upgrade", "head"],
            env=self.environment(database.parent, f"sqlite:///{database}"), cwd=self.package,
            capture_output=True, text=True, timeout=_STEP_SECONDS,
        )
        if run.returncode:
            raise Failed(_end(run.stderr))

    @contextmanager
    def serving(
        self, data_dir: Path, url: str | None = None, *, under: Path | None = None, vectorless: bool = False
    ) -> Iterator[str]:
        """Its server on `data_dir`, or on the PostgreSQL at `url`; under webui-init where that is given. It is killed in
        the end, as power failures and container engines do, so that a write-ahead log stays as it was."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        module = "images.vectorless" if vectorless else "open_webui.main"
        command = [str(self.python), "-m", "uvicorn", f"{module}:app", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
        if under is not None:
            command = [str(under), "boot", "--", *command]
        environment = self.environment(data_dir, url)
        if vectorless:
            environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        log = data_dir.parent / "log"
        with open(log, "wb") as output:
            process = subprocess.Popen(command, env=environment, cwd=data_dir.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            address = f"http://127.0.0.1:{port}"
            try:
                wait_until_healthy(address, _START_SECONDS, process.pid)
            except (ProcessLookupError, TimeoutError) as error:
                raise Failed(f"{error}\n{_end(log.read_text(encoding='utf-8', errors='replace'))}") from error
            yield address
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(_END_SECONDS)


def _end(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])
