"""Measures a move beside psql, the yardstick, and beside other tools, and writes bench/results.md.

Without --only, all cases. What was measured before and is not measured now stays on the page.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import results
from .cases import CASES, PEERS, ROOT, WAYS, Bench, say


def main() -> None:
    arguments = parse()
    chosen = choose(arguments.only)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(143))
    work = arguments.keep or Path(tempfile.mkdtemp(prefix="webui-init-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o711)  # the server's user passes through
    try:
        bench = Bench(arguments, chosen, work.resolve())
        try:
            if not arguments.page:
                bench.run()
        finally:
            # Also when a case failed: what was measured before it counts.
            path = ROOT / "bench" / "results.md"
            path.write_text(results.page(bench.record), encoding="utf-8")
            say(f"wrote {path.relative_to(ROOT)}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if not arguments.keep:
            shutil.rmtree(work, ignore_errors=True)


def choose(only: str | None) -> set[str]:
    names = set(only.split(",")) if only else set(CASES)
    unknown = names - set(CASES) - set(WAYS) - {"peers"}
    if unknown:
        raise SystemExit(f"bench: no such case: {', '.join(sorted(unknown))}")
    if "move" in names:
        names |= set(WAYS)
    if "peers" in names:
        names |= set(PEERS)
    return names


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__,
        epilog="cases:\n" + "\n".join(f"  {name:14}{what}" for name, what in CASES.items()) + "\n  peers         the other tools",
    )
    parser.add_argument("--size", type=size, default=10**9, help="of the webui.db (1G)")
    parser.add_argument("--largest", type=size, default=0, help="also rows of this size and half of it (none beyond 8M; 64M in large-rows)")
    parser.add_argument("--runs", type=int, default=3, help="of each way (3)")
    parser.add_argument("--peer-runs", type=int, default=1, help="of psql-plain and of the other tools (1)")
    parser.add_argument("--only", metavar="CASE,…", help="cases, or ways of moving (everything)")
    parser.add_argument("--starts", type=int, default=40, help="pairs with the marker present; twice as many without PostgreSQL (40)")
    parser.add_argument("--sizes", type=sizes, default=[10**9, 4 * 10**9], help="files for growth (1G,4G)")
    parser.add_argument("--growth-runs", type=int, default=2, help="of each of them (2)")
    parser.add_argument("--network-size", type=size, default=10**8, help="file for slow-network (100M)")
    parser.add_argument("--network-runs", type=int, default=3, help="of each way there (3)")
    parser.add_argument("--small-size", type=size, default=10**8, help="file for small-server (100M)")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds after which a way is given up (1800)")
    parser.add_argument("--postgres", help="major version in /usr/lib/postgresql (the newest)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a folder for prepared files and logs, which then stay")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "webui-init", help="the release build")
    parser.add_argument("--page", action="store_true", help="measure nothing, only write the page again")
    return parser.parse_args()


def size(text: str) -> int:
    units = {"K": 10**3, "M": 10**6, "G": 10**9}
    factor = units.get(text[-1:].upper(), 1)
    return int(float(text[:-1] if factor > 1 else text) * factor)


def sizes(text: str) -> list[int]:
    return sorted(size(part) for part in text.split(","))


if __name__ == "__main__":
    main()
