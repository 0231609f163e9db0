"""A small server: PostgreSQL with a tenth of a processor and 256 MB, by control groups. Needs root."""

import contextlib
import secrets
from pathlib import Path

PROCESSOR = 0.1
MEMORY = 256 << 20
PERIOD = 100_000  # µs
ROOT = Path("/sys/fs/cgroup")


class Unavailable(Exception):
    """Why there is no small server here."""


@contextlib.contextmanager
def group():
    """The folders of a control group with the limits: one, or with version 1 one for each limit."""
    name = f"webui-init-bench-{secrets.token_hex(3)}"
    quota = int(PERIOD * PROCESSOR)
    if (ROOT / "cgroup.controllers").exists():
        limits = {ROOT / name: {"cpu.max": f"{quota} {PERIOD}", "memory.max": str(MEMORY), "memory.swap.max": "0"}}
    else:
        limits = {
            ROOT / "cpu" / name: {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)},
            ROOT / "memory" / name: {"memory.limit_in_bytes": str(MEMORY)},
        }
    made = []
    try:
        try:
            if (ROOT / "cgroup.controllers").exists():
                (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
            for folder, settings in limits.items():
                folder.mkdir()
                made.append(folder)
                for setting, value in settings.items():
                    # A kernel without swap accounting has no such limit.
                    if setting != "memory.swap.max" or (folder / setting).exists():
                        (folder / setting).write_text(value)
        except OSError as error:
            raise Unavailable(f"no control group could be made ({error.strerror})") from error
        yield made
    finally:
        for folder in made:
            folder.rmdir()  # empty: the server has ended


def confine(folders: list[Path], postmaster: int) -> None:
    """Puts a server's processes into the group; those that it starts later are born there."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for process in [str(postmaster), *children]:
        for folder in folders:
            (folder / "cgroup.procs").write_text(process)
