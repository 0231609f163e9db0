"""The image itself: what it adds to Open WebUI's, what it leaves alone, and what it runs."""

import json

import engine
from engine import Container, Postgres, docker
from openwebui import OpenWebUI

BINARY_LIMIT = 9 * 1024 * 1024


def test_only_the_binary_is_added():
    base, ours = engine.image(engine.OPEN_WEBUI), engine.image(engine.IMAGE)
    assert len(ours["RootFS"]["Layers"]) == len(base["RootFS"]["Layers"]) + 1
    assert ours["Size"] - base["Size"] <= BINARY_LIMIT + 8 * 1024
    before, after = base["Config"], ours["Config"]
    for key in ["Cmd", "WorkingDir", "User", "Env", "ExposedPorts", "Volumes"]:
        assert after.get(key) == before.get(key), key
    assert after["Entrypoint"] == ["docker-entrypoint.sh"]
    assert after["Labels"]["org.opencontainers.image.title"]


def test_other_commands_are_run_as_they_are():
    def run(*command, **variables):
        words = ["run", "--rm"]
        for name, value in variables.items():
            words += ["--env", f"{name}={value}"]
        done = docker(*words, engine.IMAGE, *command, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run("bash", "-c", "echo hi") == (0, "hi\n", "")
    # Not even where the server would not start.
    assert run("bash", "-c", "echo hi", DATABASE_URL="nonsense") == (0, "hi\n", "")
    assert run("sh", "-c", "exit 7") == (7, "", "")
    assert run("python3", "-c", "print('hi')") == (0, "hi\n", "")
    status, stdout, stderr = run("no-such-command")
    assert status == 127 and stdout == "" and "no-such-command" in stderr


def test_sqlite_is_left_alone(open_webui):
    volume = engine.volume()
    container = open_webui(volume=volume)
    # The image's health check, asked before and after there is an answer.
    check = engine.image(engine.IMAGE)["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert docker("exec", container.id, *check[1:], check=False).returncode == 1

    app = OpenWebUI(container).wait()
    assert docker("exec", container.id, *check[1:], check=False).returncode == 0
    app.fill()
    content = app.content()
    assert "webui-init" not in container.logs().lower().replace("_", "-")
    assert_app_alone(container)
    assert_app_stops(container)

    assert OpenWebUI(container.start()).wait().sign_in().content() == content


def test_arguments_and_another_port_reach_the_server(open_webui):
    container = open_webui("--log-level", "warning", env={"PORT": "9000"})
    check = engine.image(engine.IMAGE)["Config"]["Healthcheck"]["Test"]
    engine.eventually("the health check on another port passes",
                      lambda: docker("exec", container.id, *check[1:], check=False).returncode == 0, timeout=120)
    assert container.pid1()[-2:] == ["--log-level", "warning"]


def test_no_shell(network, postgres, old_volume, tmp_path):
    """An image with nothing but webui-init and a static program: names resolve and PostgreSQL answers."""
    (tmp_path / "app.c").write_text(
        '#include <stdio.h>\n#include <unistd.h>\n'
        'int main(int argc, char **argv) { printf("app %d %s\\n", getpid(), argv[argc - 1]); return 3; }\n')
    (tmp_path / "Dockerfile").write_text(
        f"FROM {engine.BUILDER} AS app\nCOPY app.c /\nRUN mkdir /out && gcc -static -o /out/server /app.c\n"
        f"FROM {engine.IMAGE} AS ours\n"
        "FROM scratch\nCOPY --from=app /out/ /\nCOPY --from=ours /usr/local/bin/webui-init /usr/local/bin/\n"
        'ENTRYPOINT ["webui-init", "boot", "--"]\nCMD ["/server", "works"]\n')
    tag = "webui-init-smoke/scratch"
    engine.build(tag, tmp_path)

    def run(*options, **variables):
        words = ["run", "--rm", "--network", network, *options]
        for name, value in variables.items():
            words += ["--env", f"{name}={value}"]
        return docker(*words, tag, check=False)

    plain = run()
    assert (plain.returncode, plain.stdout, plain.stderr) == (3, "app 1 works\n", "")
    # This image has no data folder: a fresh start must be asked for by name.
    unasked = run(DATABASE_URL=Postgres.url())
    assert (unasked.returncode, unasked.stdout) == (78, ""), unasked.stderr
    assert "WEBUI_INIT_SOURCE=none" in unasked.stderr
    fresh = run(DATABASE_URL=Postgres.url(), WEBUI_INIT_SOURCE="none")
    assert (fresh.returncode, fresh.stdout) == (3, "app 1 works\n"), fresh.stderr
    assert "Connected to PostgreSQL" in fresh.stderr
    unknown = run(DATABASE_URL="postgresql://openwebui:x@no-such-host/openwebui", WEBUI_INIT_WAIT_SECS="2")
    assert (unknown.returncode, unknown.stdout) == (69, ""), unknown.stderr
    assert "no-such-host" in unknown.stderr
    # With data to move, Open WebUI's own Python would be needed: nothing is started without it.
    before = engine.database_files(old_volume)
    unable = run("--volume", f"{old_volume}:/app/backend/data", DATABASE_URL=Postgres.url())
    assert (unable.returncode, unable.stdout) == (76, ""), unable.stderr
    assert "python3" in unable.stderr
    assert engine.database_files(old_volume) == before and postgres.moves() == 0


def assert_app_alone(container):
    """The app is process 1, and nothing of webui-init is left beside it."""
    assert "open_webui.main:app" in container.pid1(), container.pid1()
    assert not [line for line in container.processes() if "webui-init" in line]
    # Its signals are its own again: nothing ignored that a fresh process would not ignore, nothing blocked.
    status = dict(line.split(":\t") for line in container.sh("grep '^Sig' /proc/1/status").splitlines())
    assert int(status["SigBlk"], 16) == 0
    term, interrupt = 1 << 14, 1 << 1
    assert int(status["SigIgn"], 16) & (term | interrupt) == 0


def assert_app_stops(container):
    """The app hears SIGTERM and ends by itself. Open WebUI 0.12.4 takes two to six seconds for that, alone in
    upstream's image too; an ignored signal would mean 30 seconds and 137."""
    assert container.stop() < 10
    assert container.state["ExitCode"] == 0


def test_labels_name_the_base():
    labels = engine.image(engine.IMAGE)["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == engine.OPEN_WEBUI
    assert json.dumps(labels).count("PostgreSQL") == 1
