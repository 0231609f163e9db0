"""Runs one process and tells what it took: seconds by the clock and of the processor, and its peak of memory.

The kernel counts as a process's peak also what its parent held when it forked, so the parent is a small
interpreter of its own; what that holds (about 10 MB) is the least that can be told.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

# Arguments: the file descriptor for the account, then the command.
LAUNCHER = """
import os, sys, time
account, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(account, False)
stamp, begun = time.time(), time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ)
_, status, used = os.wait4(child, 0)
seconds = time.perf_counter() - begun
code = os.waitstatus_to_exitcode(status)
os.write(account, repr([stamp, seconds, used.ru_utime, used.ru_stime, used.ru_maxrss, code]).encode())
"""


@dataclass(frozen=True)
class Run:
    """What a process took."""

    began: float  # s since the epoch
    seconds: float
    cpu: float  # s, user and system, of the process and the children it waited for
    peak: int  # bytes resident, of the process or the largest of its children
    code: int
    said: str  # stderr and stdout


def measure(command: list, environment: dict[str, str], timeout: float | None = None, **options) -> Run:
    """Runs `command` to its end. After `timeout` seconds it is killed, with code -9."""
    read, write = os.pipe()
    launcher = subprocess.Popen(
        [sys.executable, "-ISs", "-c", LAUNCHER, str(write), *map(str, command)], pass_fds=[write], env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options,
    )
    os.close(write)
    try:
        said, _ = launcher.communicate(timeout=timeout)
    except BaseException as end:
        os.killpg(launcher.pid, 9)
        said, _ = launcher.communicate()
        if not isinstance(end, subprocess.TimeoutExpired):
            raise
    with open(read, "rb") as account:
        told = account.read()
    said = said.decode(errors="replace")
    if not told:
        return Run(0, timeout or 0, 0, 0, -9, said)
    began, seconds, user, system, peak, code = json.loads(told)
    return Run(began, seconds, user + system, peak * 1024, code, said)


def clean_environment() -> dict[str, str]:
    """This one's, without what would tell a program of another database."""
    return {
        name: value for name, value in os.environ.items()
        if not name.startswith(("DATABASE_", "WEBUI_INIT_", "PG")) and name not in ("DATA_DIR", "ENABLE_DB_MIGRATIONS")
    }
