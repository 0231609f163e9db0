"""Open WebUI's own Alembic, imported once and run as often as needed.

Importing the app takes seconds and an upgrade a fraction of one, so everything that needs many upgrades
keeps one process: `App.upgrade` in this one, or `serve` for a `WEBUI_INIT_SCHEMA_COMMAND` elsewhere.
"""

import contextlib
import itertools
import json
import logging
import os
import socketserver
import sys
import tempfile
import threading
import time
import uuid
import warnings
from pathlib import Path

NOW = 1_735_000_000  # s; what the app's migrations take for the present while the clock is frozen


@contextlib.contextmanager
def _frozen():
    """Make what a migration draws (uuid4) and reads off the clock the same in every upgrade of one file."""
    numbers = itertools.count(1)
    real = uuid.uuid4, time.time, time.time_ns
    uuid.uuid4 = lambda: uuid.UUID(int=(next(numbers) << 80) | 0x4000_8000_0000_0000_0000)
    time.time, time.time_ns = lambda: float(NOW), lambda: NOW * 10**9
    try:
        yield
    finally:
        uuid.uuid4, time.time, time.time_ns = real


class App:
    """The app in this interpreter's environment, with the revisions of its one line, base first."""

    def __init__(self):
        self._scratch = tempfile.TemporaryDirectory(prefix="openwebui-")
        scratch = self._scratch.name
        warnings.simplefilter("ignore")  # the migrations' own
        os.environ.update(
            WEBUI_SECRET_KEY="x", USE_SLIM_DOCKER="true", ENABLE_DB_MIGRATIONS="false",
            DATA_DIR=scratch, STATIC_DIR=scratch, DATABASE_URL=f"sqlite:///{scratch}/unused.db",
        )
        for name in ("TYPE", "USER", "PASSWORD", "HOST", "PORT", "NAME", "SCHEMA"):
            os.environ.pop(f"DATABASE_{name}", None)
        with contextlib.redirect_stdout(sys.stderr):
            import open_webui.env
            from alembic import command
            from alembic.config import Config
            from alembic.script import ScriptDirectory
        self._env, self._command = open_webui.env, command
        self._one_at_a_time = threading.Lock()
        root = Path(open_webui.env.__file__).parent
        self._config = Config(root / "alembic.ini", stdout=sys.stderr)
        self._config.set_main_option("script_location", str(root / "migrations"))
        walked = ScriptDirectory.from_config(self._config).walk_revisions()
        self.revisions = [script.revision for script in walked][::-1]

    def environment(self) -> dict[str, str]:
        """What tells webui-init to run this app's Alembic itself."""
        return {
            "WEBUI_INIT_APP_DIR": str(Path(self._env.__file__).parents[1]), "WEBUI_INIT_PYTHON": sys.executable,
            "USE_SLIM_DOCKER": "true",
        }

    def upgrade(self, url: str, revision: str = "head", frozen: bool = False) -> None:
        """Bring the database at `url` to `revision`. Raises what the app's migration raised."""
        self._env.DATABASE_URL = url  # what migrations/env.py reads each time it runs
        logging.disable(logging.INFO)
        with self._one_at_a_time, contextlib.redirect_stdout(open(os.devnull, "w")), _frozen() if frozen else contextlib.nullcontext():
            self._command.upgrade(self._config, revision)


def serve(app: App, path: str) -> socketserver.UnixStreamServer:
    """Answer on the socket at `path`: one line with a URL in, one line with an error or nothing out."""

    class Upgrade(socketserver.StreamRequestHandler):
        def handle(self):
            try:
                app.upgrade(json.loads(self.rfile.readline()), frozen=True)
                self.wfile.write(b'""\n')
            except Exception as error:  # the migration's own error, whatever it is, is the answer
                self.wfile.write(json.dumps(repr(error)).encode() + b"\n")

    return socketserver.UnixStreamServer(path, Upgrade)
