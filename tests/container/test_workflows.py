"""The workflows: every action pinned by commit, few permissions, and what the linters say. Also compose.yaml
and the Dockerfile, as far as they can be read without an engine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(workflow):
    uses = [line.strip().removeprefix("- ") for line in workflow.read_text().splitlines() if "uses:" in line]
    assert uses
    assert [line for line in uses if not PINNED.fullmatch(line)] == []


def test_one_action_has_one_pin():
    pins = {}
    for workflow in WORKFLOWS:
        for action, pin in re.findall(r"uses: ([\w./-]+)@(\S+)", workflow.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_given_job_by_job(workflow):
    parsed = yaml.safe_load(workflow.read_text())
    assert parsed["permissions"] == {"contents": "read"}
    for name, job in parsed["jobs"].items():
        assert job["timeout-minutes"], name


def test_files_that_workflows_run_are_there():
    run = set(re.findall(r"(?:^|\s)((?:scripts|\.ci|tests)/[\w./-]+)", "".join(path.read_text() for path in WORKFLOWS)))
    assert "scripts/smoke" in run
    assert [path for path in sorted(run - {".ci/run"}) if not (ROOT / path).exists()] == []


def test_zizmor():
    zizmor = Path(sys.executable).parent / "zizmor"
    done = subprocess.run([zizmor, "--offline", "--no-progress", ROOT / ".github/workflows"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_actionlint():
    actionlint = shutil.which("actionlint")
    if not actionlint:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([actionlint, *WORKFLOWS], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_compose_holds_no_secret():
    for name, service in COMPOSE["services"].items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN", variable):
                assert variable.endswith("_FILE") and str(value).startswith("/"), (name, variable)
        assert "postgres_password" in service["secrets"]


def test_compose_keeps_the_image_in_charge():
    service = COMPOSE["services"]["open-webui"]
    assert not {"entrypoint", "command", "healthcheck"} & service.keys()
    assert service["volumes"] == ["open-webui:/app/backend/data"]
    assert service["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert COMPOSE["volumes"]["open-webui"]["name"] == "${OPEN_WEBUI_VOLUME:-open-webui}"


def test_dockerfile_copies_what_dockerignore_lets_through():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            copied.update(line.split()[1:-1])
    assert copied == allowed


def test_dockerfile_restates_the_command():
    instructions = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and line[0].isupper()]
    assert instructions[-2:] == ['ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["bash", "start.sh"]']
    assert (ROOT / "docker-entrypoint.sh").stat().st_mode & 0o111 == 0o111
