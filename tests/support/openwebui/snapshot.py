"""Photographs everything that the API serves to every user, so that two states can be compared.

Each user signs in with the password and GETs every route of `ROUTES` for every
object in the ledger, whoever owns it: a refusal is part of the picture too.
Owns which routes are asked and what is left out as volatile; `compare` owns
which differences between two pictures are allowed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from .client import Client, Refused
from .fill import FRACTIONAL_MODEL, UNSEARCHABLE
from .ledger import Ledger, User


@dataclass(frozen=True)
class Route:
    """One GET. `template` as in the app's OpenAPI document.

    `of` names the ledger's kind whose objects fill the placeholders: by name, and
    a placeholder that the object lacks is its `id`. Values of `query` may hold
    `{id}`. `paged` asks for page 1, 2, … until one is empty. `whole` says that
    an object which this route refuses need not be asked for in parts by later ones.
    """

    template: str
    of: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    paged: bool = False
    whole: bool = False


_V1 = "/api/v1"

ROUTES = [
    # who one is
    Route(f"{_V1}/auths/"),
    Route(f"{_V1}/auths/api_key"),
    Route(f"{_V1}/auths/mfa/status"),
    Route(f"{_V1}/auths/admin/details"),
    Route(f"{_V1}/auths/admin/config"),
    Route(f"{_V1}/auths/admin/config/ldap"),
    Route(f"{_V1}/auths/admin/config/ldap/server"),
    Route(f"{_V1}/auths/admin/config/oauth"),
    Route(f"{_V1}/users/", paged=True, query={"order_by": "email", "direction": "asc"}),
    Route(f"{_V1}/users/all"),
    Route(f"{_V1}/users/search", paged=True, query={"query": "ö"}),
    Route(f"{_V1}/users/groups"),
    Route(f"{_V1}/users/permissions"),
    Route(f"{_V1}/users/default/permissions"),
    Route(f"{_V1}/users/default/permissions/defaults"),
    Route(f"{_V1}/users/user/settings"),
    Route(f"{_V1}/users/user/status"),
    Route(f"{_V1}/users/user/info"),
    Route(f"{_V1}/users/user/variables"),
    Route(f"{_V1}/users/usage", query={"start_date": "1700000000", "end_date": "4102444800"}),
    Route(f"{_V1}/users/{{user_id}}", of="user"),
    Route(f"{_V1}/users/{{user_id}}/info", of="user"),
    Route(f"{_V1}/users/{{user_id}}/oauth/sessions", of="user"),
    Route(f"{_V1}/users/{{user_id}}/profile/image", of="user"),
    Route(f"{_V1}/users/{{user_id}}/groups", of="user"),
    Route(f"{_V1}/users/{{user_id}}/preview", of="user"),
    Route(f"{_V1}/groups/"),
    Route(f"{_V1}/groups/id/{{id}}", of="group"),
    Route(f"{_V1}/groups/id/{{id}}/info", of="group"),
    Route(f"{_V1}/groups/id/{{id}}/export", of="group"),
    Route(f"{_V1}/groups/id/{{id}}/preview", of="group"),
    Route(f"{_V1}/groups/id/{{id}}/members", of="group", paged=True),
    # settings
    Route("/api/config"),
    Route("/api/events"),
    Route("/api/events/webhooks"),
    Route(f"{_V1}/configs/export"),
    Route(f"{_V1}/configs/namespace/{{namespace}}", of="namespace"),
    Route(f"{_V1}/configs/connections"),
    Route(f"{_V1}/configs/tool_servers"),
    Route(f"{_V1}/configs/terminal_servers"),
    Route(f"{_V1}/configs/code_execution"),
    Route(f"{_V1}/configs/models"),
    Route(f"{_V1}/configs/models/defaults"),
    Route(f"{_V1}/configs/subagents"),
    Route(f"{_V1}/configs/banners"),
    Route(f"{_V1}/tasks/config"),
    Route(f"{_V1}/images/config"),
    Route(f"{_V1}/audio/config"),
    Route(f"{_V1}/retrieval/config"),
    Route(f"{_V1}/retrieval/embedding"),
    Route("/ollama/config"),
    Route("/openai/config"),
    Route(f"{_V1}/evaluations/config"),
    Route(f"{_V1}/notifications/events"),
    Route(f"{_V1}/notifications/targets"),
    # chats
    Route(f"{_V1}/chats/", paged=True, query={"include_pinned": "true", "include_folders": "true"}),
    Route(f"{_V1}/chats/list", paged=True, query={"sort_by": "title", "sort_dir": "asc"}),
    Route(f"{_V1}/chats/all"),
    Route(f"{_V1}/chats/all/archived"),
    Route(f"{_V1}/chats/all/tags"),
    Route(f"{_V1}/chats/all/db"),
    Route(f"{_V1}/chats/archived", paged=True),
    Route(f"{_V1}/chats/archived/count"),
    Route(f"{_V1}/chats/pinned"),
    Route(f"{_V1}/chats/shared", paged=True),
    Route(f"{_V1}/chats/config"),
    Route(f"{_V1}/chats/stats/usage", paged=True),
    Route(f"{_V1}/chats/stats/export", paged=True),
    Route(f"{_V1}/chats/{{id}}", of="chat", whole=True),
    Route(f"{_V1}/chats/stats/export/{{chat_id}}", of="chat"),
    Route(f"{_V1}/chats/list/user/{{user_id}}", of="user", paged=True),
    Route(f"{_V1}/chats/search", paged=True, query={"text": "garden"}),
    Route(f"{_V1}/chats/search", query={"text": UNSEARCHABLE}),
    Route(f"{_V1}/chats/{{id}}/pinned", of="chat"),
    Route(f"{_V1}/chats/{{id}}/tags", of="chat"),
    Route(f"{_V1}/chats/shared/{{id}}/access", of="chat"),
    Route(f"{_V1}/chats/share/{{share_id}}", of="share"),
    Route(f"{_V1}/folders/{{id}}", of="folder", whole=True),
    Route(f"{_V1}/chats/folder/{{folder_id}}", of="folder"),
    Route(f"{_V1}/chats/folder/{{folder_id}}/list", of="folder", paged=True),
    Route(f"{_V1}/folders/"),
    Route(f"{_V1}/folders/shared"),
    Route(f"{_V1}/folders/{{id}}/shared/chats", of="folder", paged=True),
    Route(f"{_V1}/evaluations/leaderboard"),
    Route(f"{_V1}/evaluations/leaderboard/{{model_id}}/history", of="model", query={"days": "36500"}),
    Route(f"{_V1}/evaluations/feedbacks/models"),
    Route(f"{_V1}/evaluations/feedbacks/all/ids"),
    Route(f"{_V1}/evaluations/feedbacks/all/export"),
    Route(f"{_V1}/evaluations/feedbacks/user", paged=True),
    Route(f"{_V1}/evaluations/feedbacks/list", paged=True),
    Route(f"{_V1}/evaluations/feedback/{{id}}", of="feedback"),
    # numbers over all chats, from a fixed day on: the default is "the last days"
    Route(f"{_V1}/analytics/models", query={"start_date": "1700000000"}),
    Route(f"{_V1}/analytics/users", query={"start_date": "1700000000"}),
    Route(f"{_V1}/analytics/messages", query={"model_id": "assistant-1", "limit": "100"}),
    Route(f"{_V1}/analytics/messages", query={"model_id": FRACTIONAL_MODEL}),
    Route(f"{_V1}/analytics/summary", query={"start_date": "1700000000"}),
    Route(f"{_V1}/analytics/daily", query={"start_date": "1767225600", "end_date": "1770000000"}),
    Route(f"{_V1}/analytics/tokens", query={"start_date": "1700000000"}),
    Route(f"{_V1}/analytics/models/{{model_id}}/chats", of="model", query={"start_date": "1700000000"}),
    Route(f"{_V1}/analytics/models/{{model_id}}/overview", of="model", query={"days": "0"}),
    # the workspace
    Route("/api/models"),
    Route("/api/models/base"),
    Route(f"{_V1}/models"),
    Route(f"{_V1}/models/list", paged=True),
    Route(f"{_V1}/models/all"),
    Route(f"{_V1}/models/base"),
    Route(f"{_V1}/models/base/tags"),
    Route(f"{_V1}/models/tags"),
    Route(f"{_V1}/models/export"),
    Route(f"{_V1}/models/model", of="model", query={"id": "{id}"}),
    Route(f"{_V1}/models/model/profile/image", of="model", query={"id": "{id}"}),
    Route(f"{_V1}/models/model/history", of="model", query={"id": "{id}"}),
    Route(f"{_V1}/models/model/history/{{history_id}}", of="model version", query={"id": "{id}"}),
    Route(f"{_V1}/prompts/"),
    Route(f"{_V1}/prompts/tags"),
    Route(f"{_V1}/prompts/list", paged=True),
    Route(f"{_V1}/prompts/id/{{prompt_id}}", of="prompt", whole=True),
    Route(f"{_V1}/prompts/id/{{prompt_id}}/history", of="prompt"),
    Route(f"{_V1}/prompts/id/{{id}}/history/{{history_id}}", of="prompt version"),
    Route(f"{_V1}/tools/"),
    Route(f"{_V1}/tools/list"),
    Route(f"{_V1}/tools/export"),
    Route(f"{_V1}/tools/id/{{id}}", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/specs", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/valves", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/valves/spec", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/valves/user", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/valves/user/spec", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/history", of="tool"),
    Route(f"{_V1}/tools/id/{{id}}/history/{{history_id}}", of="tool version"),
    Route(f"{_V1}/functions/"),
    Route(f"{_V1}/functions/list"),
    Route(f"{_V1}/functions/export", query={"include_valves": "true"}),
    Route(f"{_V1}/functions/id/{{id}}", of="function"),
    Route(f"{_V1}/functions/id/{{id}}/valves", of="function"),
    Route(f"{_V1}/functions/id/{{id}}/valves/spec", of="function"),
    Route(f"{_V1}/functions/id/{{id}}/valves/user", of="function"),
    Route(f"{_V1}/functions/id/{{id}}/valves/user/spec", of="function"),
    Route(f"{_V1}/functions/id/{{id}}/history", of="function"),
    Route(f"{_V1}/functions/id/{{id}}/history/{{history_id}}", of="function version"),
    Route(f"{_V1}/skills/"),
    Route(f"{_V1}/skills/list", paged=True),
    Route(f"{_V1}/skills/export", query={"format": "json"}),
    Route(f"{_V1}/skills/id/{{id}}", of="skill"),
    Route(f"{_V1}/skills/id/{{id}}/files", of="skill"),
    Route(f"{_V1}/skills/id/{{id}}/history", of="skill"),
    Route(f"{_V1}/skills/id/{{id}}/history/{{history_id}}", of="skill version"),
    Route(f"{_V1}/knowledge/", paged=True),
    Route(f"{_V1}/knowledge/search", paged=True),
    Route(f"{_V1}/knowledge/search/files", paged=True),
    Route(f"{_V1}/knowledge/external/connections"),
    Route(f"{_V1}/knowledge/{{id}}", of="knowledge", whole=True),
    Route(f"{_V1}/knowledge/{{id}}/files", of="knowledge", paged=True),
    Route(f"{_V1}/knowledge/{{id}}/files", of="knowledge directory", query={"directory_id": "{dir_id}"}),
    Route(f"{_V1}/knowledge/{{id}}/files/pending", of="knowledge"),
    Route(f"{_V1}/files/", paged=True),
    Route(f"{_V1}/files/search", query={"filename": "*"}),
    Route(f"{_V1}/files/user/search", query={"filename": "*"}),
    Route(f"{_V1}/files/count"),
    Route(f"{_V1}/files/user/count"),
    Route(f"{_V1}/files/{{id}}", of="file", whole=True),
    Route(f"{_V1}/files/{{id}}/process/status", of="file"),
    Route(f"{_V1}/files/{{id}}/data/content", of="file"),
    Route(f"{_V1}/files/{{id}}/content", of="file"),
    # the rest
    Route(f"{_V1}/notes/", paged=True),
    Route(f"{_V1}/notes/pinned"),
    Route(f"{_V1}/notes/search", paged=True),
    Route(f"{_V1}/notes/{{id}}", of="note", whole=True),
    Route(f"{_V1}/notes/{{id}}/chat", of="note"),
    Route(f"{_V1}/notes/{{id}}/chats", of="note"),
    Route(f"{_V1}/channels/"),
    Route(f"{_V1}/channels/list"),
    Route(f"{_V1}/channels/{{id}}", of="channel", whole=True),
    Route(f"{_V1}/channels/{{id}}/members", of="channel", paged=True),
    Route(f"{_V1}/channels/{{channel_id}}/apps", of="channel"),
    Route(f"{_V1}/channels/{{id}}/messages", of="channel", query={"skip": "0", "limit": "200"}),
    Route(f"{_V1}/channels/{{id}}/messages/pinned", of="channel", paged=True),
    Route(f"{_V1}/channels/{{id}}/messages/{{message_id}}", of="message", whole=True),
    Route(f"{_V1}/channels/{{id}}/messages/{{message_id}}/data", of="message"),
    Route(f"{_V1}/channels/{{id}}/messages/{{message_id}}/thread", of="message"),
    Route(f"{_V1}/channels/{{id}}/webhooks", of="channel"),
    Route(f"{_V1}/channels/webhooks/{{webhook_id}}/profile/image", of="webhook"),
    Route(f"{_V1}/calendars/"),
    Route(f"{_V1}/calendars/{{calendar_id}}", of="calendar"),
    Route(f"{_V1}/calendars/events", query={"start": "2026-01-01T00:00:00", "end": "2026-03-01T00:00:00"}),
    Route(f"{_V1}/calendars/events/search", query={"limit": "100"}),
    Route(f"{_V1}/calendars/events/{{event_id}}", of="event"),
    Route(f"{_V1}/memories/"),
    Route(f"{_V1}/automations/list", paged=True),
    Route(f"{_V1}/automations/{{id}}", of="automation"),
    Route(f"{_V1}/automations/{{id}}/runs", of="automation"),
    Route(f"{_V1}/apps"),
    Route(f"{_V1}/apps/{{app_id}}", of="app"),
    Route(f"{_V1}/search", paged=True, query={"q": "garden"}),
]

# GET routes that are not part of the picture, each with the reason. `routes` checks
# that every other route of the running app is in ROUTES.
LEFT_OUT = {
    "/ollama/": "needs a model server",
    "/openai/": "needs a model server",
    f"{_V1}/pipelines/": "needs a pipelines server",
    f"{_V1}/terminals/": "proxies to a terminal server",
    f"{_V1}/images/models": "needs an image engine",
    f"{_V1}/audio/models": "needs a speech engine",
    f"{_V1}/audio/voices": "needs a speech engine",
    f"{_V1}/utils/gravatar": "computed from its parameter alone",
    f"{_V1}/utils/db/download": "the SQLite file itself; refused on PostgreSQL",
    f"{_V1}/channels/users/{{user_id}}": "makes the channel of two people that it returns",
    f"{_V1}/users/{{user_id}}/active": "who is connected at this moment",
    f"{_V1}/files/{{id}}/content/": "the same bytes as /content, under other names",
    f"{_V1}/knowledge/{{id}}/export": "a ZIP archive of /files/{id}/content; its entries carry the time of day",
    f"{_V1}/knowledge/external/connections/{{id}}": "needs a remote knowledge base",
    f"{_V1}/prompts/id/{{prompt_id}}/history/diff": "computed from two versions, each of which is in the picture",
    f"{_V1}/tools/id/{{id}}/history/diff": "computed from two versions, each of which is in the picture",
    f"{_V1}/functions/id/{{id}}/history/diff": "computed from two versions, each of which is in the picture",
    f"{_V1}/skills/id/{{id}}/history/diff": "computed from two versions, each of which is in the picture",
    f"{_V1}/skills/id/{{id}}/files/content": "served whole by the skill's versions",
    "/api/tasks": "what is being generated at this moment",
    "/api/usage": "who is connected at this moment",
    "/api/version": "of the app, not of the data",
    "/api/changelog": "of the app, not of the data",
    "/oauth/": "redirects to an identity provider",
    "/manifest.json": "static",
    "/opensearch.xml": "static",
    "/health": "of the process, not of the data",
    "/ready": "of the process, not of the data",
    "/cache/": "files on the volume, not rows",
}

# Keys whose values change from one sign-in, second or request to the next: taken out everywhere.
VOLATILE = {
    "token": "a new session for each sign-in",
    "last_active_at": "set by every request of that user",
}

# The same, for one route only.
_PRESENCE = {"is_active": "who is connected at this moment"}
VOLATILE_ON = {
    f"{_V1}/auths/": {"expires_at": "of the session that asks"},
    f"{_V1}/users/search": _PRESENCE,
    f"{_V1}/users/{{user_id}}": _PRESENCE,
    f"{_V1}/users/{{user_id}}/info": _PRESENCE,
    f"{_V1}/groups/id/{{id}}/members": _PRESENCE,
    f"{_V1}/channels/": _PRESENCE,
    f"{_V1}/channels/list": _PRESENCE,
    f"{_V1}/channels/{{id}}": _PRESENCE,
    f"{_V1}/channels/{{id}}/members": _PRESENCE,
}

# A calendar that the app makes up for each answer, dated now.
_MADE_UP_CALENDAR = "__scheduled_tasks__"

# Lists inside objects that the app reads without an order, by key; and for one route only.
_UNORDERED = {"access_grants", "reactions", "users", "user_ids"}
_UNORDERED_ON = {f"{_V1}/analytics/models/{{model_id}}/overview": {"tags"}}

_NAMESPACES = ["ui", "auth", "rag", "test", "evaluation", "task"]
_MOST_PAGES = 20


def snapshot(url: str, ledger: Ledger, people: int | None = None) -> dict[str, Any]:
    """{user: {request: {"status", and "body" or "sha256"}}}, for the first `people` of the ledger or for all."""
    anonymous = Client(url)
    picture: dict[str, Any] = {"nobody": _ask_all(anonymous, [Route("/api/config"), Route(f"{_V1}/users/all")], ledger)}
    for user in ledger.users[:people]:
        # A pending user is refused everything; the listings alone show that.
        routes = [route for route in ROUTES if user.role != "pending" or route.of is None]
        picture[user.email] = _sign_ins(anonymous, user) | _ask_all(
            anonymous.sign_in(user.email, user.password), routes, ledger
        )
    return picture


def unasked(url: str) -> list[str]:
    """GET routes of the running app (started with `--dev`) that are neither in ROUTES nor in LEFT_OUT."""
    paths = Client(url).call("GET", "/openapi.json")["paths"]
    asked = {_anonymous(route.template) for route in ROUTES}
    return sorted(
        path
        for path, methods in paths.items()
        if "get" in methods
        and _anonymous(path) not in asked
        and not any(path.startswith(left_out) for left_out in LEFT_OUT)
    )


def _anonymous(template: str) -> str:
    """The template without the names of its placeholders, which differ between this table and the app's."""
    return "/".join("{}" if part.startswith("{") else part for part in template.split("/"))


def _sign_ins(anonymous: Client, user: User) -> dict[str, Any]:
    """Every way in: the password (and not another one), the API key, a session from before."""
    ways = {}
    for name, password in {"its password": user.password, "a wrong password": user.password + "x"}.items():
        try:
            said = anonymous.post(f"{_V1}/auths/signin", {"email": user.email, "password": password})
            ways[f"sign in with {name}"] = {"status": 200, "body": _normal(said, f"{_V1}/auths/")}
        except Refused as refusal:
            ways[f"sign in with {name}"] = {"status": refusal.status, "body": refusal.reason}
    for name, token in {"the API key": user.api_key, "an old session": user.session}.items():
        if token:
            path = f"{_V1}/chats/all/tags"
            ways[f"come with {name}"] = answer(Client(anonymous.url, token).get(path), path)
    return ways


def _ask_all(client: Client, routes: list[Route], ledger: Ledger) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    refused: set[tuple[str, str]] = set()
    for route in routes:
        for ids in _objects(route, ledger):
            which = (route.of or "", str(ids))
            if which in refused:
                continue
            path = fill_in(route.template, ids)
            query = {name: value.format(**ids) for name, value in route.query.items()}
            last = None
            for page in range(1, _MOST_PAGES + 1):
                asked = query | {"page": str(page)} if route.paged else query
                said = answer(client.get(path, asked), route.template)
                # A listing that ignores the page would never end.
                if said == last:
                    break
                answers["GET " + str(httpx.URL(path, params=asked or None))] = last = said
                if not route.paged or said["status"] != 200 or _is_last_page(said.get("body")):
                    break
            if route.whole and said["status"] != 200:
                refused.add(which)
    return answers


def _objects(route: Route, ledger: Ledger) -> list[dict[str, str]]:
    if route.of is None:
        return [{"id": ""}]
    if route.of == "namespace":
        return [{"id": namespace} for namespace in _NAMESPACES]
    return ledger.of(route.of)


def fill_in(template: str, ids: dict[str, str]) -> str:
    """The template with each `{placeholder}` filled, percent-encoded."""
    parts = []
    for part in template.split("/"):
        if part.startswith("{"):
            value = ids.get(part[1:-1], ids["id"])
            part = str(httpx.QueryParams({"": value}))[1:].replace("+", "%20")
        parts.append(part)
    return "/".join(parts)


def _is_last_page(body: Any) -> bool:
    """No page, or an empty one, or one that says how many there are in all and holds them."""
    if isinstance(body, list):
        return not body
    if isinstance(body, dict):
        for items in body.values():
            if isinstance(items, list):
                return not items
    return True


def answer(response: httpx.Response, template: str) -> dict[str, Any]:
    """What a response says, without what is volatile in it."""
    said: dict[str, Any] = {"status": response.status_code}
    if response.is_redirect:
        said["location"] = response.headers["location"]
    elif response.headers.get("content-type", "").startswith("application/json"):
        said["body"] = _normal(response.json(), template)
    elif response.headers.get("content-type", "").startswith("application/x-ndjson"):
        said["body"] = _normal([json.loads(line) for line in response.text.split("\n") if line], template)
    else:
        said["type"] = response.headers.get("content-type")
        said["bytes"] = len(response.content)
        said["sha256"] = hashlib.sha256(response.content).hexdigest()
    return said


def _normal(body: Any, template: str, depth: int = 0, key: str = "") -> Any:
    """Keys sorted, volatile ones gone, and the rows of a listing in an order of their own.

    The app sorts listings by times in whole seconds, or by nothing at all, and so
    leaves the order of equals to the database. Only listings are sorted here: a
    body that is one, the value of one of its keys, and what `_UNORDERED` names.
    Other lists, such as a chat's messages, keep their order.
    """
    if isinstance(body, dict):
        if body.get("id") == _MADE_UP_CALENDAR:
            body = {name: value for name, value in body.items() if name not in ("created_at", "updated_at")}
        return {
            name: _normal(value, template, depth + 1, name)
            for name, value in sorted(body.items())
            if name not in VOLATILE and name not in VOLATILE_ON.get(template, {})
        }
    if isinstance(body, list):
        rows = [_normal(row, template, depth + 1) for row in body]
        listing = depth <= 1 and all(isinstance(row, dict) and "id" in row for row in rows)
        if listing or key in _UNORDERED or key in _UNORDERED_ON.get(template, ()):
            rows.sort(key=lambda row: (str(row.get("id")) if isinstance(row, dict) else "", json.dumps(row)))
        return rows
    return body
