"""The troubles that people have: a database that comes late, a wrong password, a missing database."""

import time

import engine
from engine import Container, Postgres
from openwebui import OpenWebUI


def test_postgresql_comes_late(open_webui, network, old_volume, old_content):
    container = open_webui(volume=old_volume, env={"DATABASE_URL": Postgres.url()})
    time.sleep(20)
    assert container.state["Running"], container.logs()
    assert not OpenWebUI(container).answers()
    postgres = Postgres.launch(network)
    assert OpenWebUI(container).wait().sign_in().content() == old_content
    assert container.restarts == 0
    assert postgres.moves() == 1


def test_restarts_recover_when_the_wait_was_too_short(open_webui, network, old_volume, old_content):
    container = open_webui(volume=old_volume, restart="on-failure",
                           env={"DATABASE_URL": Postgres.url(), "WEBUI_INIT_WAIT_SECS": "3"})
    engine.eventually("the container is restarted", lambda: container.restarts > 0)
    postgres = Postgres.launch(network)
    assert OpenWebUI(container).wait().sign_in().content() == old_content
    assert postgres.moves() == 1


def test_postgresql_never_comes(open_webui, old_volume):
    fails(open_webui, old_volume, 69, "postgres", env={"DATABASE_URL": Postgres.url(), "WEBUI_INIT_WAIT_SECS": "3"})


def test_wrong_password(open_webui, postgres, old_volume):
    fails(open_webui, old_volume, 77, "password", env={"DATABASE_URL": Postgres.url(password="wr0ng-p4ssword")})
    assert postgres.moves() == 0


def test_missing_database(open_webui, postgres, old_volume):
    fails(open_webui, old_volume, 78, "elsewhere", env={"DATABASE_URL": Postgres.url(database="elsewhere")})


def test_secret_given_twice(open_webui, old_volume):
    fails(open_webui, old_volume, 78, "DATABASE_URL_FILE",
          env={"DATABASE_URL": Postgres.url(), "DATABASE_URL_FILE": "/run/secrets/url"})


def fails(open_webui, volume, code, word, env):
    """The container ends with this code, says this word, and has neither started the app nor written a byte."""
    before = engine.database_files(volume)
    started = time.monotonic()
    container = open_webui(volume=volume, env=env)
    assert container.exit_code() == code, container.logs()
    assert time.monotonic() - started < 20
    logs = container.logs()
    assert word in logs, logs
    assert "Uvicorn" not in logs
    for secret in [Postgres.PASSWORD, Postgres.URL_PASSWORD, "wr0ng-p4ssword"]:
        assert secret not in logs
    assert engine.database_files(volume) == before
