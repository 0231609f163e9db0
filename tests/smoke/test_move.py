"""The move, in containers: it happens once, by itself, and leaves a way back."""

import engine
from engine import Compose, Container, Postgres
from openwebui import OpenWebUI
from test_image import assert_app_alone, assert_app_stops


def test_compose_moves_an_old_installation(old_volume, old_content):
    before = engine.database_files(old_volume)
    assert "webui.db-wal" in before
    stack = Compose(old_volume)
    try:
        stack("up", "--detach", "--no-build", timeout=600)
        container, postgres = stack.service("open-webui"), stack.service("postgres")
        app = OpenWebUI(container).wait().sign_in()
        assert app.content() == old_content
        assert_app_alone(container)
        assert "Connected to PostgreSQL database" in container.logs()
        assert postgres.moves() == 1
        assert engine.database_files(old_volume) == before
        assert_app_stops(container)

        # A chat more, a restart, and a new container on the same volume: nothing moves again.
        app = OpenWebUI(container.start()).wait().sign_in()
        app.post("/api/v1/chats/new", {"chat": {"title": "After the move", "history": {"messages": {}}}})
        content = app.content()
        assert len(content["chats"]) == len(old_content["chats"]) + 1
        stack("up", "--detach", "--no-build", "--force-recreate", "--no-deps", "open-webui")
        container = stack.service("open-webui")
        assert OpenWebUI(container).wait().sign_in().content() == content
        logs = container.logs()
        assert "Connected to PostgreSQL database" in logs
        assert "sqlite" not in logs.lower(), logs
        assert postgres.moves() == 1
        assert Postgres.PASSWORD not in logs and Postgres.URL_PASSWORD not in logs
    finally:
        stack.down()


def test_rollback(open_webui, postgres, old_volume, old_content):
    """DATABASE_URL taken away again: the old data is there, without what came after, and one line says so."""
    before = engine.database_files(old_volume)
    container = open_webui(volume=old_volume, env={"DATABASE_URL": Postgres.url()})
    app = OpenWebUI(container).wait().sign_in()
    app.post("/api/v1/chats/new", {"chat": {"title": "Only in PostgreSQL", "history": {"messages": {}}}})
    container.stop()
    assert engine.database_files(old_volume) == before

    back = open_webui(volume=old_volume)
    assert OpenWebUI(back).wait().sign_in().content() == old_content
    said = [line for line in back.logs().splitlines() if "webui-init" in line.lower().replace("_", "-")]
    assert len(said) == 1 and "without what was written since" in said[0], said


def test_stop_during_the_move(open_webui, postgres, old_volume, old_content):
    """`docker stop` ends it within two seconds, nothing is left of it, and the next start does all of it."""
    before = engine.database_files(old_volume)
    container = open_webui(volume=old_volume, env={"DATABASE_URL": Postgres.url()})
    # The app's own schema step takes seconds; this is in the middle of it.
    engine.eventually("the move has begun", lambda: "Connected to PostgreSQL database" in container.logs())
    assert not OpenWebUI(container).answers()
    assert container.stop() < 2
    assert container.state["ExitCode"] == 143, container.logs()
    assert postgres.moves() == 0
    assert engine.database_files(old_volume) == before
    leftovers = postgres.query("select count(*) from pg_stat_activity where datname = 'openwebui' "
                               "and pid <> pg_backend_pid() and state <> 'idle'")
    assert leftovers == ["0"]

    assert OpenWebUI(container.start()).wait().sign_in().content() == old_content
    assert postgres.moves() == 1


def test_three_replicas_at_once(open_webui, postgres, old_volume, old_content):
    before = engine.database_files(old_volume)
    replicas = [open_webui(volume=old_volume, env={"DATABASE_URL": Postgres.url(), "WEBUI_SECRET_KEY": "one for all"})
                for _ in range(3)]
    for replica in replicas:
        assert OpenWebUI(replica).wait(300).sign_in().content() == old_content
        assert replica.restarts == 0
    assert postgres.moves() == 1
    assert engine.database_files(old_volume) == before


def test_unprivileged_on_a_read_only_root(open_webui, postgres, old_volume, old_content):
    """Any UID, a root file system that cannot be written, and a volume that belongs to somebody else."""
    engine.in_volume(old_volume, "chown -R 4242:4242 /data && chmod -R a=rX /data", mode="rw")
    before = engine.database_files(old_volume)
    container = open_webui(
        volume=old_volume, user="10001:0", read_only="true", tmpfs="/tmp", cap_drop="ALL",
        security_opt="no-new-privileges",
        env={"DATABASE_URL": Postgres.url(), "HOME": "/tmp", "STATIC_DIR": "/tmp/static",
             "WEBUI_SECRET_KEY_FILE": "/tmp/key"})
    assert OpenWebUI(container).wait().sign_in().content() == old_content
    assert_app_alone(container)
    assert postgres.moves() == 1
    assert engine.database_files(old_volume) == before


def test_fresh_start_on_postgresql(open_webui, postgres):
    """No webui.db at all: Open WebUI makes its schema, and webui-init records nothing."""
    container = open_webui(volume=engine.volume(), env={"DATABASE_URL": Postgres.url()})
    app = OpenWebUI(container).wait()
    app.fill()
    assert len(app.content()["chats"]) == 3
    assert postgres.moves() == 0
