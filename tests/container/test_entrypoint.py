"""docker-entrypoint.sh under every POSIX shell that is here, with a webui-init on the PATH that tells how it
was called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker-entrypoint.sh"
SHELLS = {
    "sh": ["sh"],
    "dash": ["dash"],
    "busybox": ["busybox", "sh"],
    "bash": ["bash", "--posix"],
}
BOOT = ["webui-init", "boot", "--"]


@pytest.fixture(params=SHELLS)
def entrypoint(request, tmp_path):
    """Runs the script; returns exit code, the words of the command that it became, and standard error."""
    shell = SHELLS[request.param]
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    for name in ["webui-init", "bash", "start.sh", "uvicorn", "open-webui", "python3", "python3.12", "ls"]:
        command = tmp_path / name
        command.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" "url=${{DATABASE_URL-}}" '
                           f'"password=${{DATABASE_PASSWORD-}}" "files=${{DATABASE_URL_FILE-}}${{DATABASE_PASSWORD_FILE-}}"\n')
        command.chmod(0o755)

    def run(*words, **variables):
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run([shutil.which(shell[0]), *shell[1:], str(SCRIPT), *words], capture_output=True, text=True,
                              env={"PATH": path, **variables}, cwd=tmp_path, timeout=20)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


def command(result):
    """The words alone, without what the stand-ins say of their environment."""
    code, lines, errors = result
    assert (code, errors) == (0, ""), result
    return lines[:-3]


@pytest.mark.parametrize("given, server", [
    ([], ["bash", "start.sh"]),
    (["--workers", "4"], ["bash", "start.sh", "--workers", "4"]),
    (["-h"], ["bash", "start.sh", "-h"]),
])
def test_no_command_is_the_servers(entrypoint, given, server):
    assert command(entrypoint(*given)) == BOOT + server


@pytest.mark.parametrize("server", [
    ["bash", "start.sh"],
    ["bash", "start.sh", "--workers", "2"],
    ["bash", "./start.sh"],
    ["bash", "-x", "/app/backend/start.sh"],
    ["sh", "start.sh"],
    ["/bin/bash", "start.sh"],
    ["./start.sh"],
    ["start.sh"],
    ["/app/backend/start.sh", "a b", "", "*"],
    ["uvicorn", "open_webui.main:app", "--port", "8080"],
    ["uvicorn", "--host", "0.0.0.0", "open_webui.main:app"],
    ["python3", "-m", "uvicorn", "open_webui.main:app"],
    ["python3.12", "-m", "uvicorn", "--port", "1", "open_webui.main:app"],
    ["open-webui", "serve"],
    ["open-webui", "serve", "--port", "80"],
    ["bash", "-c", "pip install x && exec bash start.sh"],
    ["sh", "-c", "cd /app/backend; ./start.sh"],
    ["bash", "-lc", "uvicorn open_webui.main:app"],
    ["/bin/sh", "-c", "open-webui serve"],
    ["/bin/sh", "-ec", "exec bash /app/backend/start.sh"],
])
def test_servers_command_goes_through_boot(entrypoint, server):
    assert command(entrypoint(*server)) == BOOT + server


@pytest.mark.parametrize("other", [
    ["bash"],
    ["bash", "other.sh"],
    ["bash", "-c", "echo start.sh.bak"],
    ["bash", "-c", "cat start.sh"],
    ["bash", "-x"],
    ["ls", "start.sh"],
    ["python3", "-c", "print(1)"],
    ["python3", "start.py"],
    ["open-webui", "--help"],
    ["open-webui"],
    ["uvicorn", "other:app"],
    ["webui-init", "plan", "--json"],
    ["ls", "-l", "a  b", "", "$HOME", "*"],
])
def test_other_commands_are_left_alone(entrypoint, other):
    secrets = {"DATABASE_URL": "a", "DATABASE_URL_FILE": "/nowhere"}
    assert command(entrypoint(*other, **secrets)) == other


def test_exit_codes_pass_through(entrypoint):
    assert entrypoint("sh", "-c", "exit 7")[0] == 7
    assert entrypoint("sh", "-c", "echo hi") == (0, ["hi"], "")
    code, out, errors = entrypoint("no-such-command")
    assert (code, out) == (127, []) and "no-such-command" in errors


def test_secrets_come_from_files(entrypoint, tmp_path):
    (tmp_path / "url").write_text("postgresql://u:p$w`x`\"'\\ é@h/db\n")
    (tmp_path / "password").write_text("two words\n\n")
    code, lines, errors = entrypoint(DATABASE_URL_FILE=str(tmp_path / "url"),
                                     DATABASE_PASSWORD_FILE=str(tmp_path / "password"))
    assert (code, errors) == (0, "")
    assert lines[-3:] == ["url=postgresql://u:p$w`x`\"'\\ é@h/db", "password=two words", "files="]


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_PASSWORD"])
def test_secret_both_ways_is_an_error(entrypoint, tmp_path, name):
    (tmp_path / "secret").write_text("hidden-in-the-file")
    code, lines, errors = entrypoint(**{name: "hidden-in-the-variable", f"{name}_FILE": str(tmp_path / "secret")})
    assert (code, lines) == (78, [])
    assert f"{name}_FILE" in errors and "hidden" not in errors


@pytest.mark.parametrize("content", [None, ""], ids=["missing", "empty"])
def test_secret_without_content_is_an_error(entrypoint, tmp_path, content):
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    code, lines, errors = entrypoint(DATABASE_URL_FILE=str(file))
    assert (code, lines) == (78, []) and "DATABASE_URL_FILE" in errors


def test_secret_keys_file_is_start_shs_own(entrypoint, tmp_path):
    """start.sh makes that file when it is missing, so a missing one is no error here."""
    assert command(entrypoint(WEBUI_SECRET_KEY_FILE=str(tmp_path / "key"))) == BOOT + ["bash", "start.sh"]


def test_empty_file_variables_count_as_unset(entrypoint):
    code, lines, errors = entrypoint(DATABASE_URL="a", DATABASE_URL_FILE="", DATABASE_PASSWORD_FILE="")
    assert (code, errors) == (0, "") and "url=a" in lines


def test_shellcheck():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    root = SCRIPT.parent
    scripts = [SCRIPT, root / "scripts/smoke", root / "tests/container/run", *root.glob("tests/smoke/images/**/*.sh")]
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
