"""deploy/kubernetes.yaml against Kubernetes' own schemas (offline), and against what a move needs."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [document for document in yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()) if document]
BY_KIND = {document["kind"]: document for document in DOCUMENTS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_valid(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_validation_can_fail():
    wrong = yaml.safe_load((ROOT / "deploy/kubernetes.yaml").read_text().split("---")[2].replace("replicas: 1", "replica: 1"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_deployment_can_move():
    deployment = BY_KIND["Deployment"]["spec"]
    assert deployment["strategy"] == {"type": "Recreate"} and deployment["replicas"] == 1
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert "command" not in container, "it would replace the ENTRYPOINT"
    assert container["args"] == ["bash", "start.sh"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600
    assert startup["httpGet"] == {"path": "/health", "port": "http"}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts["/app/backend/data"] == "data" and "/tmp" in mounts
    [claim] = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if volume["name"] == "data"]
    assert claim["claimName"] == BY_KIND["PersistentVolumeClaim"]["metadata"]["name"]


def test_parts_fit_together():
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert BY_KIND["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert BY_KIND["Service"]["spec"]["selector"].items() <= labels.items()


def test_no_secret_is_in_the_file():
    assert "Secret" not in BY_KIND
    [container] = BY_KIND["Deployment"]["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    for name in ["DATABASE_URL", "WEBUI_SECRET_KEY"]:
        assert set(variables[name]["valueFrom"]) == {"secretKeyRef"}
