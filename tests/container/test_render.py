"""render.yaml against a JSON schema of the format, and against what the program needs from it."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((Path(__file__).parent / "render.schema.json").read_text())
BLUEPRINT = yaml.safe_load((ROOT / "render.yaml").read_text())


def valid(blueprint):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(blueprint)


def changed(path, value):
    """The Blueprint with one value set, or removed when it is None."""
    blueprint = copy.deepcopy(BLUEPRINT)
    *way, last = path
    place = blueprint
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return blueprint


def test_blueprint_is_valid():
    jsonschema.validate(BLUEPRINT, SCHEMA, jsonschema.Draft202012Validator)


SERVICE, DATABASE = ("services", 0), ("databases", 0)


@pytest.mark.parametrize("path, value", [
    ((*DATABASE, "plan"), "starter"),
    ((*DATABASE, "plan"), None),
    ((*DATABASE, "postgresMajorVersion"), 17),
    ((*DATABASE, "diskSizeGB"), 7),
    ((*DATABASE, "ipAllowList"), ["0.0.0.0/0"]),
    ((*DATABASE, "user"), "postgres"),
    ((*DATABASE, "plan"), "free"),  # with more than the 1 GB that it has
    ((*SERVICE, "env"), "docker"),
    ((*SERVICE, "autoDeploy"), True),
    ((*SERVICE, "plan"), "free"),  # with a disk
    ((*SERVICE, "plan"), "basic-256mb"),
    ((*SERVICE, "numInstances"), 2),  # with a disk
    ((*SERVICE, "preDeployCommand"), "webui-init migrate"),  # which would not see the disk
    ((*SERVICE, "maxShutdownDelaySeconds"), 600),
    ((*SERVICE, "disk", "mountPath"), "/etc"),
    ((*SERVICE, "disk", "sizeGb"), 10),
    ((*SERVICE, "healthCheckPath"), "health"),
    ((*SERVICE, "envVars", 0, "fromDatabase", "property"), "connectionURI"),
    ((*SERVICE, "envVars", 0, "value"), "postgres://"),  # beside fromDatabase
])
def test_schema_refuses(path, value):
    assert not valid(changed(path, value))


@pytest.mark.parametrize("path, value", [
    ((*DATABASE, "plan"), "pro-8gb"),
    ((*DATABASE, "connectionPool"), "pgbouncer"),
    ((*SERVICE, "autoDeployTrigger"), "checksPass"),
    ((*SERVICE, "dockerCommand"), "bash start.sh"),
    ((*SERVICE, "envVars", 1), {"key": "OPENAI_API_KEY", "sync": False}),
])
def test_schema_accepts(path, value):
    assert valid(changed(path, value))


def test_service_can_move():
    [service], [database] = BLUEPRINT["services"], BLUEPRINT["databases"]
    variables = {variable["key"]: variable for variable in service["envVars"]}
    assert variables["DATABASE_URL"]["fromDatabase"] == {"name": database["name"], "property": "connectionString"}
    assert variables["WEBUI_SECRET_KEY"]["generateValue"] is True
    assert service["disk"]["mountPath"] == "/app/backend/data"
    assert service["healthCheckPath"] == "/health"
    assert service["region"] == database["region"], "the internal URL works within a region only"
    # dockerCommand would replace the CMD; PORT is Render's to set.
    assert "dockerCommand" not in service and "PORT" not in variables
    assert (database["databaseName"], database["user"], database["ipAllowList"]) == ("openwebui", "openwebui", [])
    assert database["plan"] == "basic-256mb"
