"""What was measured, kept from one run to the next, and the page that tells it."""

import json
import os
import re
import statistics
from pathlib import Path

from .webui_db import Source

MB = 1e6
MIB = 1 << 20


class Record:
    """Measurements by case, in a file: a case that is measured again replaces its own only."""

    def __init__(self, path: Path):
        self.path = path
        self.told = json.loads(path.read_text()) if path.exists() else {}

    def note(self, case: str, measured) -> None:
        self.told[case] = measured
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.told, indent=1, ensure_ascii=False))

    def moves(self, source: Source, rounds: dict[str, list[dict]]) -> None:
        """Ways over another file than the one before replace them all."""
        about = {"bytes": source.bytes, "rows": sum(source.rows.values()), "chats": source.rows["chat"],
                 "messages": source.rows["chat_message"], "largest": source.largest}
        kept = self.told.get("move", {})
        ways = kept.get("ways", {}) if kept.get("source") == about else {}
        self.note("move", {"source": about, "ways": {**ways, **rounds}})


def machine() -> dict[str, str]:
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    release = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return {
        "processor": cpu[1] if cpu else "(unknown)", "cores": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / MIB:.1f} GiB" if memory else "(unknown)",
        "system": f"{release[1] if release else '(unknown)'}, Linux {os.uname().release.split('-')[0]}",
    }


def median(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float], form: str = ".2f") -> str:
    """The median, with the least and the most where there are several."""
    if len(values) == 1:
        return format(values[0], form)
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def table(head: list[str], rows: list[list[str]]) -> str:
    align = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, align, *rows]) + "\n"


class Goals:
    """The goals, each with what was measured."""

    def __init__(self):
        self.rows: list[list[str]] = []

    def at_most(self, figure: str, goal: float, value: float, unit: str = "", form: str = ".2f") -> None:
        verdict = "met" if value <= goal else f"missed by {value - goal:{form}}{unit}"
        self.rows.append([figure, f"≤ {goal:g}{unit}", f"{value:{form}}{unit}", verdict])

    def at_least(self, figure: str, goal: float, value: float, unit: str = "", form: str = ".1f") -> None:
        verdict = "met" if value >= goal else f"missed by {goal - value:{form}}{unit}"
        self.rows.append([figure, f"≥ {goal:g}{unit}", f"{value:{form}}{unit}", verdict])


def page(record: Record) -> str:
    told, goals = record.told, Goals()
    sections = {
        "move": moves, "starts": starts, "growth": growth, "large-rows": large_rows, "slow-network": slow_network,
        "small-server": small_server, "binary": binary,
    }
    parts = [tell(told[case], goals) for case, tell in sections.items() if case in told]
    summary = "## Goals\n\n" + table(["figure", "goal", "measured", ""], goals.rows) if goals.rows else ""
    return "\n".join(["# Measured\n", "Written by `scripts/bench`; not edited by hand.\n", setting(told), summary, *parts])


def setting(told: dict) -> str:
    machine, versions = told.get("machine", {}), told.get("versions", {})
    return (
        ", ".join(f"{name}: {value}" for name, value in machine.items()) + ".\n\n"
        + ", ".join(f"{name} {value}" for name, value in versions.items()) + ".\n\n"
        "PostgreSQL has its default settings, runs on the same machine and is reached over TCP on 127.0.0.1. The ways\n"
        "take turns, round by round, each into a new copy of the schema that the app's Alembic made. A figure is the\n"
        "median; least and most stand in parentheses. MB is 10⁶ bytes, MiB 2²⁰.\n"
    )


def moves(told: dict, goals: Goals) -> str:
    source, ways = told["source"], told["ways"]
    rows = []
    for name, runs in ways.items():
        yardstick = ways.get("psql", [])
        ratios = side_by_side(runs, yardstick, "seconds")
        rows.append([
            f"`{name}`", str(len(runs)), spread([run["seconds"] for run in runs]),
            spread(ratios) if ratios else "", spread([run["cpu"] for run in runs]),
            spread([run["peak"] / MIB for run in runs], ".0f"), spread([run["size"] / MB for run in runs], ".0f"), outcome(runs),
        ])
    text = (
        "## A move\n\n"
        f"A `webui.db` of {source['bytes'] / MB:.0f} MB with its WAL: {source['chats']} chats, {source['messages']} messages,\n"
        f"{source['rows']} rows in all, prose and code of the Python standard library; the largest value has {source['largest'] / MB:.1f} MB.\n\n"
        + table(["way", "runs", "seconds", "against `psql`", "processor, s", "peak memory, MiB", "database, MB", "outcome"], rows)
    )
    text += (
        "\n`psql` is the yardstick: prepared binary files, one connection, one transaction, lz4, secondary indexes and\n"
        "foreign keys rebuilt after. `psql-plain` takes text into the schema as it is. `ours` reads SQLite, converts,\n"
        "loads and verifies; `ours-count` verifies by number of rows. Processor time and memory are the client's.\n"
    )
    markers = {name: [run["marker"] for run in runs if run["marker"]] for name, runs in ways.items()}
    told_markers = [f"`{name}` {spread(values)} s" for name, values in markers.items() if values]
    if told_markers:
        text += f"\nFrom the start to the commit of the marker, without the ANALYZE after it: {', '.join(told_markers)}.\n"
    for name, runs in ways.items():
        lost = {table: rows for table, rows in runs[-1]["lost"].items() if rows}
        if lost:
            text += f"\nLost by `{name}`: " + ", ".join(f"{table} {rows}" for table, rows in sorted(lost.items(), key=lambda item: -item[1])) + ".\n"
        if runs[-1]["failure"]:
            text += f"\n`{name}` ended with {runs[-1]['code']}: {runs[-1]['failure']}\n"
    move_goals(source, ways, goals)
    return text


def side_by_side(runs: list[dict], yardstick: list[dict], figure: str) -> list[float]:
    """Round by round; runs of different sessions say nothing of each other."""
    return [
        (run[figure] or run["seconds"]) / other["seconds"] for run, other in zip(runs, yardstick) if run["session"] == other["session"]
    ]


def outcome(runs: list[dict]) -> str:
    lost = sum(max(0, rows) for rows in runs[-1]["lost"].values())
    more = -sum(min(0, rows) for rows in runs[-1]["lost"].values())
    told = [f"{lost} rows lost"] if lost else []
    told += [f"{more} rows too many"] if more else []
    if runs[-1]["code"]:
        told.insert(0, "failed")
    return ", ".join(told) or "complete"


def move_goals(source: dict, ways: dict[str, list[dict]], goals: Goals) -> None:
    ours, psql = ways.get("ours"), ways.get("psql")
    for name, goal in (("ours", 1.25), ("ours-count", 1.0)):
        if name in ways and psql:
            ratios = side_by_side(ways[name], psql, "marker")
            if ratios:
                goals.at_most(f"`{name}`, from start to marker, against `psql`", goal, median(ratios), " ×")
    if not ours:
        return
    seconds = median([run["seconds"] for run in ours])
    size = median([run["size"] for run in ours])
    wanted = {"pgloader": 2.5, "open-webui-sqlite-migration": 4.5, "open-webui-postgres-migration": 14}
    for name, goal in wanted.items():
        if name in ways:
            theirs = median([run["seconds"] for run in ways[name]])
            note = "" if outcome(ways[name]) == "complete" else f" ({outcome(ways[name])})"
            if ways[name][0]["session"] != ours[0]["session"]:
                note += " (measured apart)"
            goals.at_least(f"faster than {name}{note}", goal, theirs / seconds, " ×")
    for name in wanted:
        # A database with rows missing is no measure.
        if name in ways and outcome(ways[name]) == "complete":
            theirs = median([run["size"] for run in ways[name]])
            goals.at_most(f"database size, against {name}", 0.85, size / theirs, " ×")
    memory(f"{source['bytes'] / MB:.0f} MB file", source["largest"], ours, goals)


def memory(what: str, largest: int, runs: list[dict], goals: Goals) -> None:
    """64 MiB and three times the largest value."""
    limit = round((64 * MIB + 3 * largest) / MIB)
    goals.at_most(f"peak memory, {what}", limit, max(run["peak"] for run in runs) / MIB, " MiB", ".0f")


def starts(told: dict, goals: Goals) -> str:
    rows = []
    names = {
        "with marker": ("`boot -- true`, marker present", "`psql -Xqc 'select 1'`"),
        "pass-through": ("`boot -- true`, no DATABASE_URL", "`env true`"),
    }
    for case, (ours, theirs) in names.items():
        for name, key in ((ours, "ours"), (theirs, "theirs")):
            rows.append([name, str(len(told[case][key])), spread([1000 * value for value in told[case][key]])])
    marker, through = told["with marker"], told["pass-through"]
    goals.at_most("boot with the marker present, against `psql`", 1.0, median([a / b for a, b in zip(marker["ours"], marker["theirs"])]), " ×")
    goals.at_most("pass-through, more than `env true`", 2, median([1000 * (a - b) for a, b in zip(through["ours"], through["theirs"])]), " ms")
    return "## A start with nothing to move\n\n" + table(["command", "runs", "ms"], rows) + "\nIn pairs, one after the other.\n"


def growth(told: list[dict], goals: Goals) -> str:
    rows = [
        [f"{size['bytes'] / MB:.0f}", str(len(size["runs"])), spread([run["seconds"] for run in size["runs"]]),
         f"{size['bytes'] / MB / median([run['seconds'] for run in size['runs']]):.1f}",
         spread([run["peak"] / MIB for run in size["runs"]], ".0f")]
        for size in told
    ]
    for size in told:
        memory(f"{size['bytes'] / MB:.0f} MB file (growth)", size["largest"], size["runs"], goals)
    least, most = told[0], told[-1]
    larger = most["size"] / least["size"]
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(least["runs"], most["runs"])]
    # The goal is 4.2 for four times the bytes.
    goals.at_most(f"growth, time({most['size'] / MB:.0f} MB) / time({least['size'] / MB:.0f} MB)", round(1.05 * larger, 2), median(ratios), " ×")
    return "## Growth\n\n" + table(["file, MB", "runs", "seconds", "MB/s", "peak memory, MiB"], rows)


def large_rows(told: dict, goals: Goals) -> str:
    memory(f"a row of {told['largest'] / MB:.0f} MB", told["largest"], [told["run"]], goals)
    return (
        f"## Large rows\n\nA file of {told['bytes'] / MB:.0f} MB whose largest value has {told['largest'] / MB:.1f} MB:"
        f" {told['run']['peak'] / MIB:.0f} MiB at the peak, {told['run']['seconds']:.1f} s.\n"
    )


def slow_network(told: dict, goals: Goals) -> str:
    text = (
        "## A slow network\n\nA proxy with a round trip of 20 ms and 100 Mbit/s each way before PostgreSQL. \"The line alone\" is\n"
        "the bytes of the busier direction over its width; what a way takes beyond that is waiting and work.\n"
    )
    for name, case in told.items():
        rows = []
        for way, runs in case["ways"].items():
            alone = median([max(run["there"], run["back"]) for run in runs]) / (100e6 / 8)
            seconds = [run["seconds"] for run in runs]
            rows.append([
                f"`{way}`", str(len(runs)), spread(seconds), f"{median([run['there'] for run in runs]) / MB:.1f}",
                f"{median([run['back'] for run in runs]) / MB:.2f}", f"{alone:.2f}", f"{median(seconds) / alone:.2f} ×", f"{median(seconds) - alone:.2f}",
            ])
        full, count = (median([run["seconds"] for run in case["ways"][way]]) for way in ("ours", "ours-count"))
        text += (
            f"\n### {name[0].upper()}{name[1:]}\n\nA file of {case['bytes'] / MB:.1f} MB with rows in {case['tables']} tables.\n\n"
            + table(["way", "runs", "seconds", "MB there", "MB back", "the line alone, s", "against it", "beyond it, s"], rows)
            + f"\nVerifying every value instead of counting rows: {full / count:.2f} × the time.\n"
        )
        goals.at_most(f"slow network, {name}: full verification against count", 2, full / count, " ×")
    return text


def small_server(told: dict, goals: Goals) -> str:
    text = "## A small server\n\n"
    if "skipped" in told:
        return text + f"Not measured: {told['skipped']}.\n"
    rows = []
    for way, run in told["ways"].items():
        speed = told["bytes"] / MB / run["seconds"]
        rows.append([f"`{way}`", f"{run['seconds']:.1f}", f"{speed:.2f}", f"{speed * 900:.0f}"])
    return (
        text + f"PostgreSQL with a tenth of a processor and 256 MB, by control groups; a file of {told['bytes'] / MB:.0f} MB, one run.\n"
        "The last column is what a start of at most 15 minutes moves at that speed.\n\n"
        + table(["way", "seconds", "MB/s", "MB in 15 minutes"], rows)
    )


def binary(told: dict, goals: Goals) -> str:
    if "static" in told:
        goals.at_most("static binary, stripped", 8, told["static"] / MB, " MB")
    return "## The binary\n\n" + table(["build", "MB"], [[name, f"{bytes_ / MB:.2f}"] for name, bytes_ in told.items()])
