"""Compares two pictures path by path and tells which differences are the app's own doing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .fill import FRACTIONAL_MODEL, UNSEARCHABLE

_MISSING = "(missing)"


@dataclass(frozen=True)
class Allowed:
    """A difference that is not ours. `request` and `path` are shell patterns; `why` names the app's behaviour."""

    request: str
    path: str
    why: str


# Between SQLite and PostgreSQL only. Keep it short: each entry is a promise that was looked into.
ALLOWED = [
    Allowed(
        f"GET /api/v1/chats/search?text={UNSEARCHABLE}",
        ".body",
        "on PostgreSQL the app's search passes over chats whose JSON has a literal backslash-u0000 "
        "(models/chats.py: Chat.chat::text NOT LIKE)",
    ),
    Allowed(
        # `images.fill` puts one into every chat, so there the app finds none of them on PostgreSQL.
        "GET /api/v1/chats/search {'text': 'garden'}",
        ".body",
        "as above, in versions from 0.6.43 on",
    ),
    Allowed(
        f"GET /api/v1/analytics/messages?model_id={FRACTIONAL_MODEL}",
        "*",
        "on SQLite the app stores a fractional chat_message.created_at and then fails to read that row (500); "
        "PostgreSQL's BIGINT holds whole seconds only, so there it can",
    ),
]


@dataclass(frozen=True)
class Difference:
    user: str
    request: str
    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.user}: {self.request}{self.path}: {_short(self.before)} -> {_short(self.after)}"

    def allowed_by(self) -> Allowed | None:
        for allowed in ALLOWED:
            if fnmatchcase(self.request, allowed.request) and fnmatchcase(self.path, allowed.path):
                return allowed
        return None


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    """Every leaf that differs, users and requests in order."""
    for user in sorted(before.keys() | after.keys()):
        left, right = before.get(user, {}), after.get(user, {})
        for request in sorted(left.keys() | right.keys()):
            for path, a, b in _leaves("", left.get(request, _MISSING), right.get(request, _MISSING)):
                yield Difference(user, request, path, a, b)


def _leaves(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _leaves(f"{path}.{key}", before.get(key, _MISSING), after.get(key, _MISSING))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (a, b) in enumerate(zip(before, after, strict=True)):
            yield from _leaves(f"{path}[{index}]", a, b)
    # 1 == 1.0 == True in Python; to a browser they are three things.
    elif json.dumps(before) != json.dumps(after):
        yield path, before, after


def _short(value: Any, limit: int = 200) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[:limit] + f"… ({len(text)} characters)"
