"""What the API of whatever version answers to each user, so that before and after can be compared.

Which questions there are, the app itself tells: every GET of its OpenAPI document whose parameters the ledger can fill.
Owns which are left out; what is volatile inside an answer, `openwebui.snapshot` knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
from openwebui.client import Client
from openwebui.ledger import Ledger
from openwebui.snapshot import LEFT_OUT, VOLATILE, answer, fill_in

# Applications that 0.3 and 0.4 mount beside the main one, each with a document of its own.
_MOUNTS = ("", "/api/v1", "/ollama", "/openai", "/retrieval/api/v1", "/images/api/v1", "/audio/api/v1")

# Beyond what `openwebui.snapshot` leaves out: what changes something, what asks elsewhere, and what is of the moment.
_LEFT_OUT = (
    "/api/pipelines", "/ollama", "/openai", "/images", "/audio", "/api/v1/images", "/api/v1/audio", "/retrieval/api/v1/ef", "/api/v1/retrieval/ef", "/api/v1/utils", "/oauth", "/api/version",
    "/api/changelog", "/api/webhook", "/api/v1/channels/users", "/docs", "/openapi", "/api/community", "/api/v1/terminals",
)
_CHANGES = ("/clone", "/archive", "/logout", "/signout", "/reset", "/download", "/export", "/active", "/usage", "/tasks", "/load")

# The values that an upgrade draws or reads off the clock are another each time it runs.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CLOCK_SCALES = (1, 1000, 1_000_000_000)

# By the name of a parameter, and for `id` by the part of the path before it.
_KINDS = {
    "user_id": "user", "chat_id": "chat", "folder_id": "folder", "model_id": "model", "prompt_id": "prompt", "command": "prompt",
    "share_id": "share", "message_id": "message",
}
_PARTS = {
    "chats": "chat", "folders": "folder", "groups": "group", "files": "file", "knowledge": "knowledge", "tools": "tool", "functions": "function",
    "skills": "skill", "notes": "note", "channels": "channel", "feedback": "feedback", "models": "model", "users": "user", "prompts": "prompt",
}


def picture(url: str, ledger: Ledger, known: str, since: float) -> dict[str, Any]:
    """{user: {request: answer}}. UUIDs that are not in `known`, a text, and times after `since` are given a name."""
    anonymous = Client(url)
    questions = list(_questions(anonymous, ledger))
    found: dict[str, Any] = {"nobody": {"GET /api/config": _ask(anonymous, "/api/config", "/api/config", {})}}
    for user in ledger.users:
        client = anonymous.sign_in(user.email, user.password)
        found[user.email] = {f"GET {path} {query or ''}".rstrip(): _ask(client, template, path, query) for template, path, query in questions}
        if user.api_key:
            path = "/api/v1/chats/"
            found[user.email]["come with the API key"] = _ask(Client(url, user.api_key), path, path, {})
    return _level(found, set(_UUID.findall(known)), since)


def _questions(anonymous: Client, ledger: Ledger) -> Iterator[tuple[str, str, dict[str, str]]]:
    for mount in _MOUNTS:
        response = anonymous.get(f"{mount}/openapi.json")
        if response.status_code != 200 or not response.headers.get("content-type", "").startswith("application/json"):
            continue
        for path, methods in sorted(response.json()["paths"].items()):
            template = mount + path
            if "get" not in methods or template.startswith((*_LEFT_OUT, *LEFT_OUT)) or any(part in template for part in _CHANGES):
                continue
            wanted = [p for p in methods["get"].get("parameters", []) if p.get("required")]
            for ids in _ids(template, [p["name"] for p in wanted], ledger):
                query = {p["name"]: ids.get(p["name"], ids.get("id", "")) for p in wanted if p["in"] == "query"}
                yield template, fill_in(template, ids), query


def _ids(template: str, names: list[str], ledger: Ledger) -> list[dict[str, str]]:
    """What to fill the parameters with: nothing where one is not to be had."""
    if not names:
        return [{"id": ""}]
    if names == ["text"] or names == ["query"]:
        return [{names[0]: "garden"}]
    if "message_id" in names and set(names) == {"id", "message_id"}:
        return ledger.of("message")
    if len(names) != 1:
        return []
    before = template.split("{")[0].strip("/").split("/")
    kind = _KINDS.get(names[0]) or next((_PARTS[part] for part in reversed(before) if part in _PARTS), None)
    if names[0] not in ("id", *_KINDS) or kind is None or kind == "message":
        return []
    return [{"id": "", **ids, names[0]: ids.get(names[0], ids["id"])} for ids in ledger.of(kind)]


def _ask(client: Client, template: str, path: str, query: dict[str, str]) -> Any:
    return answer(client.get(path, query or None), template)


def _ties(rows: list[Any]) -> bool:
    times = [row.get("updated_at") if isinstance(row, dict) else None for row in rows]
    return all(isinstance(time, int) for time in times) and len(set(times)) < len(times)


def _level(value: Any, known: set[str], since: float) -> Any:
    """The same with names for what an upgrade drew, and the rows of a listing in order again."""
    if isinstance(value, dict):
        # Two upgrades of a file write the tags of a chat in the order of a set, which is another in each process.
        tags = value.get("tags")
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            value = {**value, "tags": sorted(tags)}
        return {_level(name, known, since): _level(item, known, since) for name, item in value.items() if name not in VOLATILE}
    if isinstance(value, list):
        rows = [_level(item, known, since) for item in value]
        if rows and all(isinstance(row, dict) for row in rows) and rows != value:
            rows.sort(key=json.dumps)
        elif _ties(rows):
            # The app sorts by time alone, and rows of one second come in any order.
            rows.sort(key=lambda row: (-row["updated_at"], json.dumps(row)))
        return rows
    if isinstance(value, str):
        return _UUID.sub(lambda found: found[0] if found[0] in known else "<drawn>", value)
    if isinstance(value, int) and not isinstance(value, bool) and any(since * s <= value <= (since + 86_400) * s for s in _CLOCK_SCALES):
        return "<now>"
    if isinstance(value, float) and value.is_integer():
        # SQLite's column of JSON has the affinity of a number, so where the app itself stores the default 0.0 of a setting
        # that no file has, 0 comes back; PostgreSQL keeps 0.0. The values that are moved are compared by themselves.
        return int(value)
    return value
