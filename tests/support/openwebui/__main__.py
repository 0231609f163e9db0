"""The command line: `python -m openwebui <command>`; `--help` tells the rest."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from . import client, compare, fill, fixture, server, snapshot
from .ledger import Ledger


def main() -> int:
    parser = argparse.ArgumentParser(prog="openwebui", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="become the real Open WebUI on 127.0.0.1")
    serve.add_argument("--data-dir", type=Path, required=True, help="the app's DATA_DIR; its parent must be ours")
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--secret-key", default="for-tests-only", help="WEBUI_SECRET_KEY")
    serve.add_argument("--under", type=Path, metavar="WEBUI_INIT", help="start it by `WEBUI_INIT boot --`")
    serve.add_argument("--vectorless", action="store_true", help="with an empty vector store, for `fill`")
    serve.add_argument("--dev", action="store_true", help="serve /openapi.json too")
    serve.add_argument("instead", nargs="*", metavar="CMD", help="this command in the app's place (after --)")
    serve.set_defaults(run=_serve)

    wait = commands.add_parser("wait", help="wait until /health answers")
    wait.add_argument("--url", required=True)
    wait.add_argument("--seconds", type=float, default=120)
    wait.add_argument("--pid", type=int, help="give up as soon as this process is gone")
    wait.set_defaults(run=_wait)

    filling = commands.add_parser("fill", help="make content of every kind in a fresh instance")
    filling.add_argument("--url", required=True)
    filling.add_argument("--seed", type=int, default=1)
    filling.add_argument("--chats", type=int, default=6, help="chats per user")
    filling.add_argument("--ledger", type=Path, required=True, help="where to write what was made")
    filling.set_defaults(run=_fill)

    picture = commands.add_parser("snapshot", help="everything that the API serves to each user")
    picture.add_argument("--url", required=True)
    picture.add_argument("--ledger", type=Path, required=True)
    picture.add_argument("--people", type=int, metavar="N", help="to the first N of the ledger only")
    picture.add_argument("-o", "--output", type=Path, required=True)
    picture.set_defaults(run=_snapshot)

    routes = commands.add_parser("routes", help="exit 1 if the app has GET routes that `snapshot` does not know")
    routes.add_argument("--url", required=True, help="of an app started with --dev")
    routes.set_defaults(run=_routes)

    comparing = commands.add_parser("compare", help="exit 1 and tell, if two snapshots differ")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--strict", action="store_true", help="allow no difference at all")
    comparing.set_defaults(run=_compare)

    dumping = commands.add_parser("dump", help="a stopped instance's database as SQL text, and who may sign in to it")
    dumping.add_argument("--data-dir", type=Path, required=True)
    dumping.add_argument("--ledger", type=Path, required=True)
    dumping.add_argument("-o", "--output", type=Path, required=True, help="the SQL; the people go into .json beside it")
    dumping.set_defaults(run=_dump)

    loading = commands.add_parser("load", help="a webui.db from SQL text")
    loading.add_argument("sql", type=Path)
    loading.add_argument("--data-dir", type=Path, required=True)
    loading.set_defaults(run=_load)

    checking = commands.add_parser("check", help="exit 1 unless the app serves the chats of a webui.db")
    checking.add_argument("--url", required=True)
    checking.add_argument("--ledger", type=Path, required=True)
    checking.add_argument("--database", type=Path, required=True, help="the webui.db, not in use")
    checking.set_defaults(run=_check)

    arguments = parser.parse_args()
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _serve(arguments: argparse.Namespace) -> int:
    server.serve(
        arguments.data_dir, arguments.port, arguments.secret_key,
        under=arguments.under, instead=arguments.instead, vectorless=arguments.vectorless, dev=arguments.dev,
    )


def _wait(arguments: argparse.Namespace) -> int:
    try:
        print(f"{client.wait_until_healthy(arguments.url, arguments.seconds, arguments.pid):.1f}")
    except (TimeoutError, ProcessLookupError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _fill(arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    ledger = fill.fill(arguments.url, arguments.seed, arguments.chats)
    ledger.write(arguments.ledger)
    print(json.dumps({"seconds": round(time.monotonic() - start, 1), "made": ledger.counts()}, ensure_ascii=False))
    for refusal in ledger.refused:
        print(f"refused: {refusal['kind']}: {refusal['request']}: {refusal['status']} {refusal['reason']}")
    return 0


def _snapshot(arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    picture = snapshot.snapshot(arguments.url, Ledger.read(arguments.ledger), arguments.people)
    arguments.output.write_text(json.dumps(picture, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    statuses = Counter(answer["status"] for answers in picture.values() for answer in answers.values())
    print(json.dumps({"seconds": round(time.monotonic() - start, 1), "answers by status": statuses}))
    return 0


def _routes(arguments: argparse.Namespace) -> int:
    unasked = snapshot.unasked(arguments.url)
    for path in unasked:
        print(f"neither asked nor left out: GET {path}")
    return 1 if unasked else 0


def _compare(arguments: argparse.Namespace) -> int:
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (arguments.before, arguments.after))
    explained: Counter[str] = Counter()
    unexplained = []
    for difference in compare.differences(before, after):
        allowed = None if arguments.strict else difference.allowed_by()
        if allowed:
            explained[allowed.why] += 1
        else:
            unexplained.append(difference)
    for difference in unexplained:
        print(difference)
    for why, times in explained.items():
        print(f"{times} differences are the app's own: {why}")
    answers = sum(len(answers) for answers in before.values())
    print(f"{answers} answers to {len(before)} visitors compared, {len(unexplained)} unexplained differences")
    return 1 if unexplained else 0


def _dump(arguments: argparse.Namespace) -> int:
    print(f"{fixture.dump(arguments.data_dir, arguments.output)} characters")
    ledger = Ledger.read(arguments.ledger)
    # Sessions expire, and a fixture must not.
    people = [replace(user, session="") for user in ledger.users]
    Ledger(ledger.seed, people).write(arguments.output.with_suffix(".json"))
    return 0


def _load(arguments: argparse.Namespace) -> int:
    fixture.load(arguments.sql, arguments.data_dir)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    failed = False
    for email, chats, wrong in fixture.differing_chats(
        arguments.url, Ledger.read(arguments.ledger), arguments.database
    ):
        failed |= bool(wrong)
        print(f"{email}: {chats} chats, {len(wrong)} of them differ", *wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
