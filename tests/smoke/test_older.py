"""The same in an image of a version that still runs Peewee beside Alembic; and from there on with a newer one."""

import engine
import pytest
from engine import Container, Postgres
from openwebui import OpenWebUI

# What a slim image of this age asks for: no models, no vector store of its own.
SLIM = {"VECTOR_DB": "qdrant", "QDRANT_URI": "http://127.0.0.1:9", "RAG_EMBEDDING_ENGINE": "openai", "OFFLINE_MODE": "true"}


@pytest.fixture(scope="module")
def older():
    """A volume that the older version has filled, and what its API served."""
    arguments = ["--build-arg", f"BUILDER_IMAGE={engine.BUILDER}", "--build-arg", f"OPEN_WEBUI_IMAGE={engine.OLDER_OPEN_WEBUI}"]
    engine.build(engine.OLDER_IMAGE, engine.ROOT, *arguments)
    volume = engine.volume()
    container = Container.run(engine.OLDER_OPEN_WEBUI, env=SLIM, volumes={volume: "/app/backend/data"}, serves=True)
    app = OpenWebUI(container).wait()
    app.sign_up()
    for number in range(3):
        app.post("/api/v1/chats/new", {"chat": {"title": f"Grüße {number}", "history": {"messages": {}}}})
    chats = titles(app)
    container.kill()
    container.remove()
    return volume, chats


def titles(app):
    return sorted(chat["title"] for chat in app.get("/api/v1/chats/"))


def test_an_older_image_moves_and_a_newer_one_goes_on(older, postgres, network):
    volume, chats = older
    before = engine.database_files(volume)
    env = {**SLIM, "DATABASE_URL": Postgres.url()}
    mounted = {volume: "/app/backend/data"}
    first = Container.run(engine.OLDER_IMAGE, env=env, volumes=mounted, serves=True, network=network)
    app = OpenWebUI(first).wait().sign_in()
    assert titles(app) == chats
    assert postgres.moves() == 1
    assert engine.database_files(volume) == before
    app.post("/api/v1/chats/new", {"chat": {"title": "After the move", "history": {"messages": {}}}})
    # A restart moves nothing.
    first.stop()
    app = OpenWebUI(first.start()).wait().sign_in()
    assert titles(app) == sorted([*chats, "After the move"])
    first.remove()
    # The upgrade of Open WebUI itself, on PostgreSQL.
    newer = Container.run(engine.IMAGE, env={"DATABASE_URL": Postgres.url()}, volumes=mounted, serves=True, network=network)
    app = OpenWebUI(newer).wait().sign_in()
    assert titles(app) == sorted([*chats, "After the move"])
    assert postgres.moves() == 1
    newer.remove()
