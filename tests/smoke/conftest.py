"""Builds the image under test from the repository's Dockerfile, lends out the parts that checks share, and
ends with a line that counts."""

import os

import pytest

import engine
from engine import Container, Postgres
from openwebui import OpenWebUI


@pytest.fixture(scope="session", autouse=True)
def under_test():
    if not os.environ.get("SMOKE_IMAGE"):
        arguments = ["--build-arg", f"BUILDER_IMAGE={engine.BUILDER}", "--build-arg", f"OPEN_WEBUI_IMAGE={engine.OPEN_WEBUI}"]
        # Each stage gets a name, so that its layers are kept as long as they are of use, and no longer.
        for stage in ["build", "binary"]:
            engine.build(f"webui-init-smoke/{stage}", engine.ROOT, "--target", stage, *arguments)
        engine.build(engine.IMAGE, engine.ROOT, *arguments)
    yield
    engine.remove_everything()


@pytest.fixture(scope="session")
def installation():
    """An installation from before: upstream's own image on SQLite, with content, killed in the middle of
    its day, so that commits are left in the WAL. The volume, and what its API served."""
    volume = engine.volume()
    container = Container.run(engine.OPEN_WEBUI, volumes={volume: "/app/backend/data"}, serves=True)
    app = OpenWebUI(container).wait()
    app.fill()
    content = app.content()
    assert len(content["chats"]) == 3 and len(content["files"]) == 1
    container.kill()
    container.remove()
    return volume, content


@pytest.fixture
def old_volume(installation):
    """A copy of the old installation's volume, for one check."""
    return engine.copy_of(installation[0])


@pytest.fixture
def old_content(installation):
    return installation[1]


@pytest.fixture
def network():
    name = engine.network()
    yield name


@pytest.fixture
def postgres(network):
    server = Postgres.launch(network).ready()
    yield server
    server.remove()


@pytest.fixture
def open_webui(network):
    """Starts the image under test on a network; its containers end with the check."""
    started = []

    def start(*command, env=None, volume=None, on=network, **options):
        volumes = {volume: "/app/backend/data"} if volume else {}
        container = Container.run(engine.IMAGE, *command, env=env, volumes=volumes, serves=True, network=on, **options)
        started.append(container)
        return container

    yield start
    for container in started:
        container.remove()


def pytest_terminal_summary(terminalreporter):
    def count(*outcomes):
        return sum(len(terminalreporter.stats.get(outcome, [])) for outcome in outcomes)

    terminalreporter.write_line(
        f"smoke: {count('passed')} passed, {count('failed', 'error')} failed, {count('skipped')} skipped")
