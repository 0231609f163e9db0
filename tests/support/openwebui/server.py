"""Starts the installed Open WebUI, alone or under webui-init, by becoming it.

`exec` all the way: the process id that the caller knows is the app's own, so a
SIGKILL hits the app and leaves its write-ahead log as it was.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

_PACKAGE = "open_webui"


def site_packages() -> Path:
    """The folder that holds the `open_webui` package of this interpreter."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{sys.executable} has no Open WebUI: pip install open-webui")
    return Path(spec.origin).parent.parent


def environment(data_dir: Path, secret_key: str, *, dev: bool) -> dict[str, str]:
    """The app's environment: slim, offline, no models, everything writable inside `data_dir`'s parent."""
    packages = site_packages()
    static = data_dir.parent / "static"
    for folder in (data_dir, static):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "USE_SLIM_DOCKER": "true",
        "FRONTEND_BUILD_DIR": str(packages / _PACKAGE / "frontend"),
        "STATIC_DIR": str(static),
        "DATA_DIR": str(data_dir),
        "WEBUI_SECRET_KEY": secret_key,
        "OFFLINE_MODE": "true",
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "false",
        "VECTOR_DB": "pgvector",
        "DO_NOT_TRACK": "true",
        "ANONYMIZED_TELEMETRY": "false",
        "GLOBAL_LOG_LEVEL": os.environ.get("GLOBAL_LOG_LEVEL", "WARNING"),
        # webui-init runs the app's Alembic with the very interpreter that runs the app.
        "WEBUI_INIT_APP_DIR": str(packages),
        "WEBUI_INIT_PYTHON": sys.executable,
        # /openapi.json is served in development only.
        **({"ENV": "dev"} if dev else {}),
    }


def serve(
    data_dir: Path,
    port: int,
    secret_key: str,
    *,
    under: Path | None,
    instead: list[str],
    vectorless: bool,
    dev: bool,
) -> NoReturn:
    """Become the app on 127.0.0.1:`port`; `under` puts webui-init before it, `instead` replaces the app's command."""
    module = f"{__package__}.vectorless" if vectorless else f"{_PACKAGE}.main"
    uvicorn = [sys.executable, "-m", "uvicorn", f"{module}:app", "--host", "127.0.0.1", "--port", str(port)]
    command = instead or uvicorn
    if under is not None:
        command = [str(under), "boot", "--", *command]
    env = environment(data_dir.resolve(), secret_key, dev=dev)
    # Nothing of ours on the app's path unless asked for.
    env.pop("PYTHONPATH", None)
    if vectorless:
        env["PYTHONPATH"] = str(Path(__file__).parent.parent)
    # The app reads a .env of its working folder.
    os.chdir(data_dir.parent)
    os.execvpe(command[0], command, env)
