"""Makes content of every kind through the app's HTTP API and keeps a ledger of it.

Owns what is made and by whom; the words come from `content`. Deterministic by
seed but for ids, times and hashes, which the app chooses. A kind that the API
refuses is recorded with the app's reason, never skipped in silence.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .client import Client, Refused
from .content import AWKWARD, LITERAL_NUL, Author
from .ledger import Ledger, User

# 2026-01-05 09:00 UTC. The app stores calendar times and next runs in nanoseconds.
_EPOCH = 1_767_603_600
_NANO = 1_000_000_000

# The model of the one message whose time has a fraction.
FRACTIONAL_MODEL = "fractional-clock"

# A word that only chats with LITERAL_NUL have.
UNSEARCHABLE = "haystack"

# How long an automation may take to fail.
_RUN_SECONDS = 10

# A 1x1 PNG: the app stores pictures as data URLs inside rows.
_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)

# A public key from RFC 8410, section 10.1.
_ED25519 = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""

_PEOPLE = [
    ("Ada \"Admin\" O'Neil", "ada@example.org"),
    ("Björn Ängström 👩🏽‍🚀", "bjorn@example.org"),
    ("中村 さくら", "sakura@example.org"),
    ("Zoë \\ Backslash", "zoe+tag@example.org"),
]

_TOOL = '''"""
title: Unit conversion
description: "It's \\\\ escaped", 👍
"""
from pydantic import BaseModel, Field


class Tools:
    class Valves(BaseModel):
        factor: float = Field(default=2.54, description="cm per inch")
        note: str = Field(default="")

    class UserValves(BaseModel):
        unit: str = Field(default="cm")

    def __init__(self):
        self.valves = self.Valves()

    def convert(self, inches: float) -> str:
        """
        Convert inches.
        :param inches: a length
        """
        return f"{inches * self.valves.factor} cm \\u2713"
'''

_FUNCTION = '''"""
title: Shout
"""
from pydantic import BaseModel, Field


class Filter:
    class Valves(BaseModel):
        priority: int = 0
        suffix: str = Field(default="!")

    class UserValves(BaseModel):
        loud: bool = True

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body: dict) -> dict:
        return body
'''


class Fill:
    """One run against one fresh instance. `run` makes everything, in dependency order."""

    def __init__(self, url: str, seed: int, chats_per_user: int) -> None:
        self.author = Author(seed)
        self.ledger = Ledger(seed)
        self.chats_per_user = chats_per_user
        self.anonymous = Client(url)
        self.clients: list[Client] = []
        self._numbers = iter(range(10**9))

    # -- plumbing ---------------------------------------------------------

    @property
    def admin(self) -> Client:
        return self.clients[0]

    def each_user(self) -> Iterator[tuple[User, Client]]:
        yield from zip(self.ledger.users, self.clients, strict=True)

    def number(self) -> int:
        return next(self._numbers)

    @contextmanager
    def attempt(self, kind: str) -> Iterator[None]:
        """Notes a refusal under `kind` and goes on: one missing feature must not hide the others."""
        try:
            yield
        except Refused as refusal:
            self.ledger.refused.append(
                {"kind": kind, "request": f"{refusal.method} {refusal.path}", "status": refusal.status,
                 "reason": refusal.reason}
            )

    def uuid(self) -> str:
        """An id that the browser would have made up, from the seed."""
        return str(uuid.UUID(int=self.author.random.getrandbits(128), version=4))

    def grants(self, *principals: tuple[str, str]) -> list[dict[str, str]]:
        return [
            {"principal_type": kind, "principal_id": id, "permission": permission}
            for kind, id in principals
            for permission in ("read", "write")
        ]

    def run(self) -> Ledger:
        steps: list[Callable[[], None]] = [
            self.users, self.settings, self.profiles, self.groups, self.files, self.knowledge, self.models,
            self.prompts, self.tools, self.functions, self.skills, self.folders, self.chats, self.notes,
            self.channels, self.reading, self.feedback, self.calendars, self.memories, self.automations, self.apps,
            self.notifications, self.api_keys,
        ]
        for step in steps:
            with self.attempt(step.__name__):
                step()
        self._list_versions()
        return self.ledger

    # -- people and settings ----------------------------------------------

    def users(self) -> None:
        """The first to sign up becomes admin, which closes the door: the admin opens it again."""
        for index, (name, email) in enumerate(_PEOPLE):
            password = f"Pa55 wörd {index} '\"\\ {self.author.random.getrandbits(40):x}"
            user = User(name=name, email=email, password=password)
            answer = self.anonymous.post(
                "/api/v1/auths/signup", {"name": name, "email": email, "password": password}
            )
            self._enter(user, answer)
            if index == 0:
                self._admin_settings()
        password = "added-by-admin " + self.uuid()
        added = User("Pending Person", "pending@example.org", password)
        self.admin.post(
            "/api/v1/auths/add",
            {"name": added.name, "email": added.email, "password": password, "role": "pending",
             "profile_image_url": _PIXEL},
        )
        self._enter(added, self.anonymous.post("/api/v1/auths/signin", {"email": added.email, "password": password}))

    def _enter(self, user: User, answer: dict[str, Any]) -> None:
        user.id, user.role, user.session = answer["id"], answer["role"], answer["token"]
        self.ledger.users.append(user)
        self.ledger.add("user", id=user.id)
        self.clients.append(Client(self.anonymous.url, answer["token"]))

    def _admin_settings(self) -> None:
        path = "/api/v1/auths/admin/config"
        self.admin.post(
            path,
            self.admin.call("GET", path)
            | {
                "ENABLE_SIGNUP": True, "ENABLE_API_KEYS": True, "DEFAULT_USER_ROLE": "user", "ENABLE_CHANNELS": True,
                "ENABLE_ENCRYPTED_CHANNELS": True, "ENABLE_APPS": True, "ENABLE_CALENDAR": True, "ENABLE_NOTES": True,
                "ENABLE_MEMORIES": True, "ENABLE_AUTOMATIONS": True, "ENABLE_FOLDERS": True,
                "ENABLE_USER_WEBHOOKS": True, "ENABLE_USER_STATUS": True, "ENABLE_MESSAGE_RATING": True,
                "ADMIN_EMAIL": "ada@example.org", "WEBUI_URL": "https://chat.example.org",
                "PENDING_USER_OVERLAY_TITLE": AWKWARD[0], "PENDING_USER_OVERLAY_CONTENT": "\n".join(AWKWARD),
                "RESPONSE_WATERMARK": LITERAL_NUL,
            },
        )

    def settings(self) -> None:
        admin = self.admin
        with self.attempt("permissions"):
            path = "/api/v1/users/default/permissions"
            admin.post(path, _all_true(admin.call("GET", path)))
        with self.attempt("retrieval settings"):
            # No embedding model offline: keep the text of files and skip the vectors.
            admin.post(
                "/api/v1/retrieval/config/update",
                {"BYPASS_EMBEDDING_AND_RETRIEVAL": True, "TOP_K": 7, "RAG_TEMPLATE": "\n".join(AWKWARD)},
            )
        with self.attempt("banners"):
            admin.post(
                "/api/v1/configs/banners",
                {"banners": [
                    {"id": self.uuid(), "type": kind, "title": self.author.title(n), "content": AWKWARD[n],
                     "dismissible": n % 2 == 0, "timestamp": _EPOCH + n}
                    for n, kind in enumerate(["info", "warning", "error", "success"])
                ]},
            )
        with self.attempt("suggestions"):
            admin.post(
                "/api/v1/configs/suggestions",
                {"suggestions": [{"title": [self.author.title(n), "sub"], "content": AWKWARD[n]} for n in range(3)]},
            )
        with self.attempt("model settings"):
            admin.post(
                "/api/v1/configs/models",
                {"DEFAULT_MODELS": "assistant-0", "DEFAULT_PINNED_MODELS": None,
                 "MODEL_ORDER_LIST": ["assistant-1", "assistant-0"],
                 "DEFAULT_MODEL_METADATA": self.author.attributes(1), "DEFAULT_MODEL_PARAMS": {"temperature": 0.1}},
            )
        with self.attempt("evaluation settings"):
            admin.post(
                "/api/v1/evaluations/config",
                {"ENABLE_EVALUATION_ARENA_MODELS": True,
                 "EVALUATION_ARENA_MODELS": [{"id": "arena-ü", "name": AWKWARD[4], "meta": {"model_ids": None}}]},
            )
        with self.attempt("task settings"):
            current = admin.call("GET", "/api/v1/tasks/config")
            admin.post(
                "/api/v1/tasks/config/update",
                current | {"ENABLE_TITLE_GENERATION": False, "TITLE_GENERATION_PROMPT_TEMPLATE": AWKWARD[1]},
            )
        with self.attempt("imported settings"):
            admin.post("/api/v1/configs/import", {"config": {"test.imported": self.author.attributes(2)}})
        with self.attempt("interface visibility"):
            admin.post("/api/v1/configs/interface/visibility", {"visibility": {"banner": False, "logo": True}})

    def profiles(self) -> None:
        births = ["1815-12-10", "2000-02-29", "1999-12-31", None]
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            with self.attempt("profile"):
                client.post(
                    "/api/v1/auths/update/profile",
                    {"name": user.name, "profile_image_url": _PIXEL, "bio": "\n".join(AWKWARD),
                     "gender": ["female", "", "自由", None][index % 4], "date_of_birth": births[index % 4]},
                )
            with self.attempt("timezone"):
                client.post("/api/v1/auths/update/timezone", {"timezone": ["Europe/Berlin", "Asia/Tokyo"][index % 2]})
            with self.attempt("user settings"):
                client.post(
                    "/api/v1/users/user/settings/update",
                    {"ui": {"theme": "dark", "system": AWKWARD[index], "extra": self.author.attributes(index)}},
                )
            with self.attempt("user info"):
                client.post("/api/v1/users/user/info/update", self.author.attributes(index + 3))
            with self.attempt("user variables"):
                client.post(
                    "/api/v1/users/user/variables/update", {"variables": {"city": AWKWARD[8], "empty": ""}}
                )
            with self.attempt("user status"):
                client.post(
                    "/api/v1/users/user/status/update",
                    {"status_emoji": "🛠️", "status_message": AWKWARD[index], "status_expires_at": 4_102_444_800},
                )

    def groups(self) -> None:
        for n in range(3):
            with self.attempt("group"):
                parent = self.ledger.of("group")[0]["id"] if n == 2 else None
                group = self.admin.post(
                    "/api/v1/groups/create",
                    {"name": self.author.title(n), "description": AWKWARD[n + 1], "parent_group_id": parent,
                     "data": self.author.attributes(n), "permissions": {"chat": {"delete": n == 1}}},
                )
                self.ledger.add("group", id=group["id"])
                members = [user.id for user in self.ledger.users[1:4]][: n + 1]
                self.admin.post(f"/api/v1/groups/id/{group['id']}/users/add", {"user_ids": members})

    # -- the workspace ------------------------------------------------------

    def files(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            for n in range(3):
                with self.attempt("file"):
                    name = ["notes ü \"quoted\".txt", "данные 📄.md", "plain.csv"][n]
                    text = "\n\n".join([self.author.prose(3), self.author.code(), *AWKWARD])
                    file = client.post(
                        "/api/v1/files/?process=false",
                        files={"file": (name, text.encode(), ["text/plain", "text/markdown", "text/csv"][n])},
                    )
                    self.ledger.add("file", id=file["id"], owner=user.id)
                    # The slim app has no extractors: hand it the text, as its editor does.
                    client.post(f"/api/v1/files/{file['id']}/data/content/update", {"content": text})
            with self.attempt("unprocessed file"):
                file = client.post(
                    "/api/v1/files/?process=false",
                    files={"file": ("bytes.bin", bytes(range(256)), "application/octet-stream")},
                )
                self.ledger.add("file", id=file["id"], owner=user.id, unprocessed="yes")

    def knowledge(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            with self.attempt("knowledge"):
                other = self.ledger.users[(index + 1) % 4].id
                made = client.post(
                    "/api/v1/knowledge/create",
                    {"name": self.author.title(index), "description": "\n".join(AWKWARD),
                     "access_grants": self.grants(("user", other))},
                )
                id = made["id"]
                self.ledger.add("knowledge", id=id)
                directory = None
                with self.attempt("knowledge directory"):
                    outer = client.post(f"/api/v1/knowledge/{id}/dirs/create", {"name": "outer 📁"})
                    inner = client.post(
                        f"/api/v1/knowledge/{id}/dirs/create", {"name": "in\"ner", "parent_id": outer["id"]}
                    )
                    directory = inner["id"]
                    self.ledger.add("knowledge directory", id=id, dir_id=outer["id"])
                    self.ledger.add("knowledge directory", id=id, dir_id=inner["id"])
                own = [f for f in self.ledger.of("file") if f["owner"] == user.id and "unprocessed" not in f]
                for n, file in enumerate(own[:2]):
                    with self.attempt("knowledge file"):
                        client.post(
                            f"/api/v1/knowledge/{id}/file/add",
                            {"file_id": file["id"], "directory_id": directory if n else None},
                        )
                        self.ledger.add("knowledge file", id=id, file_id=file["id"])

    def models(self) -> None:
        for n in range(4):
            with self.attempt("model"):
                id = f"assistant-{n}" if n else "assistant-0:ü/slash"
                form = {
                    "id": id, "name": self.author.title(n), "base_model_id": None if n == 3 else "absent-base",
                    "meta": {"profile_image_url": _PIXEL, "description": "\n".join(AWKWARD),
                             "capabilities": {"vision": n % 2 == 0}, "tags": [{"name": "tag ü"}],
                             "knowledge": [{"id": k["id"], "type": "collection"} for k in self.ledger.of("knowledge")[:1]],
                             "extra": self.author.attributes(n)},
                    "params": {"system": self.author.prose(2), "temperature": 0.7, "stop": ["\\n", "###"]},
                    "access_grants": self.grants(("user", self.ledger.users[1].id)) if n % 2 else
                    [{"principal_type": "user", "principal_id": "*", "permission": "read"}],
                    "is_active": n != 2, "commit_message": AWKWARD[n],
                }
                self.admin.post("/api/v1/models/create", form)
                self.ledger.add("model", id=id)
                self.admin.post("/api/v1/models/model/update", form | {"name": f"{form['name']} (2)"})

    def prompts(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            for n in range(2):
                with self.attempt("prompt"):
                    form = {
                        "command": f"prompt-{index}-{n}", "name": self.author.title(index + n),
                        "content": "\n".join(["Translate {{clipboard}}:", *AWKWARD]),
                        "data": self.author.attributes(n), "meta": {"note": AWKWARD[n]}, "tags": ["ü tag", "it's"],
                        "access_grants": self.grants(("group", self.ledger.of("group")[0]["id"])) if n else [],
                        "commit_message": AWKWARD[index],
                    }
                    prompt = client.post("/api/v1/prompts/create", form)
                    self.ledger.add("prompt", id=prompt["id"])
                    client.post(
                        f"/api/v1/prompts/id/{prompt['id']}/update", form | {"content": self.author.reply(n)}
                    )
                    if n:
                        client.post(f"/api/v1/prompts/id/{prompt['id']}/toggle")

    def tools(self) -> None:
        for n in range(2):
            with self.attempt("tool"):
                id = f"tool_{n}"
                form = {
                    "id": id, "name": self.author.title(n), "content": _TOOL,
                    "meta": {"description": AWKWARD[n], "manifest": self.author.attributes(n)},
                    "access_grants": [{"principal_type": "user", "principal_id": "*", "permission": "read"}],
                }
                self.admin.post("/api/v1/tools/create", form)
                self.ledger.add("tool", id=id)
                self.admin.post(f"/api/v1/tools/id/{id}/update", form | {"content": _TOOL + f"# {AWKWARD[n]!r}\n"})
                self.admin.post(f"/api/v1/tools/id/{id}/valves/update", {"factor": 0.1, "note": LITERAL_NUL})
                for client in self.clients[:3]:
                    client.post(f"/api/v1/tools/id/{id}/valves/user/update", {"unit": AWKWARD[4]})

    def functions(self) -> None:
        for n in range(2):
            with self.attempt("function"):
                id = f"filter_{n}"
                form = {"id": id, "name": self.author.title(n), "content": _FUNCTION,
                        "meta": {"description": AWKWARD[n], "manifest": {"title": "Shout"}}}
                self.admin.post("/api/v1/functions/create", form)
                self.ledger.add("function", id=id)
                self.admin.post(f"/api/v1/functions/id/{id}/update", form | {"content": _FUNCTION + "# two\n"})
                self.admin.post(f"/api/v1/functions/id/{id}/toggle")
                if n:
                    self.admin.post(f"/api/v1/functions/id/{id}/toggle/global")
                self.admin.post(f"/api/v1/functions/id/{id}/valves/update", {"priority": 3, "suffix": LITERAL_NUL})
                for client in self.clients[:2]:
                    client.post(f"/api/v1/functions/id/{id}/valves/user/update", {"loud": False})

    def skills(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            with self.attempt("skill"):
                id = f"skill-{index}"
                made = client.post(
                    "/api/v1/skills/create",
                    {"id": id, "name": self.author.title(10 + index), "description": AWKWARD[index],
                     "content": self.author.reply(index), "meta": {"tags": ["ü", "it's"]}, "commit_message": LITERAL_NUL,
                     "access_grants": self.grants(("user", self.ledger.users[(index + 1) % 4].id))},
                )
                self.ledger.add("skill", id=made["id"])
                with self.attempt("skill update"):
                    client.post(
                        f"/api/v1/skills/id/{id}/update",
                        {"id": id, "name": self.author.title(20 + index), "description": AWKWARD[index + 1],
                         "content": self.author.reply(index + 1), "meta": {"tags": []},
                         "expected_version_id": made.get("version_id")},
                    )
                if index == 1:
                    client.post(f"/api/v1/skills/id/{id}/toggle")

    # -- chats ----------------------------------------------------------------

    def folders(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            parent = None
            for n in range(3):
                with self.attempt("folder"):
                    folder = client.post(
                        "/api/v1/folders/",
                        {"name": f"{n} folder ü 'n\" {index}", "parent_id": parent if n < 2 else None,
                         "data": {"system_prompt": AWKWARD[n], "files": []}, "meta": self.author.attributes(n)},
                    )
                    parent = folder["id"]
                    self.ledger.add("folder", id=folder["id"], owner=user.id)
                    client.post(f"/api/v1/folders/{folder['id']}/update/expanded", {"is_expanded": n == 0})
            with self.attempt("folder access"):
                client.post(
                    f"/api/v1/folders/{parent}/access/update",
                    {"access_grants": self.grants(("user", self.ledger.users[(index + 1) % 4].id))},
                )

    def chats(self) -> None:
        for user, client in self.each_user():
            if user.role == "pending":
                continue
            for n in range(self.chats_per_user):
                with self.attempt("chat"):
                    self._chat(user, client, n)
            with self.attempt("chat with a literal NUL"):
                question = {"id": self.uuid(), "parentId": None, "childrenIds": [], "role": "user", "timestamp": _EPOCH,
                            "content": f"{UNSEARCHABLE} {LITERAL_NUL}"}
                chat = client.post(
                    "/api/v1/chats/new",
                    {"chat": {"title": LITERAL_NUL, "history": {"messages": {question["id"]: question},
                                                                "currentId": question["id"]}}},
                )
                self.ledger.add("chat", id=chat["id"], owner=user.id)
            with self.attempt("chat import"):
                imported = client.post(
                    "/api/v1/chats/import",
                    {"chats": [
                        {"chat": self._conversation(user, "imported " + self.author.title(n)), "pinned": n == 0,
                         "meta": {"tags": ["imported_ü"], "note": AWKWARD[n]}, "created_at": _EPOCH + n,
                         "updated_at": _EPOCH + 60 + n, "variables": {"A": AWKWARD[2]}}
                        for n in range(2)
                    ]},
                )
                for chat in imported:
                    self.ledger.add("chat", id=chat["id"], owner=user.id)
            with self.attempt("chat copies"):
                first = next(c for c in self.ledger.of("chat") if c["owner"] == user.id)
                for verb in ("clone", "fork"):
                    copy = client.post(f"/api/v1/chats/{first['id']}/{verb}", {})
                    self.ledger.add("chat", id=copy["id"], owner=user.id)

    def _chat(self, user: User, client: Client, n: int) -> None:
        folders = [folder["id"] for folder in self.ledger.of("folder") if folder["owner"] == user.id]
        conversation = self._conversation(user, self.author.title(n))
        if user is self.ledger.users[1] and n == 1:
            # Some browsers' clocks have fractions. On SQLite the app stores one and then cannot read that row
            # again, so there is exactly one, in a last message, of a model of its own.
            conversation["messages"][-1]["timestamp"] = conversation["messages"][-2]["timestamp"] + 0.5
            conversation["messages"][-1]["model"] = FRACTIONAL_MODEL
        form = {
            "chat": conversation,
            "folder_id": folders[n % len(folders)] if folders and n % 3 == 1 else None,
            "variables": {"NAME": AWKWARD[n % len(AWKWARD)]} if n % 2 else None,
        }
        chat = client.post("/api/v1/chats/new", form)
        id = chat["id"]
        self.ledger.add("chat", id=id, owner=user.id)
        for tag in ["General", "Ünïcode tag", "it's \"quoted\""][: n % 4]:
            with self.attempt("chat tag"):
                client.post(f"/api/v1/chats/{id}/tags", {"name": tag})
        if n % 4 == 0:
            client.post(f"/api/v1/chats/{id}/pin")
        if n % 5 == 2:
            client.post(f"/api/v1/chats/{id}/archive")
        if n % 3 == 0:
            with self.attempt("shared chat"):
                share = client.post(f"/api/v1/chats/{id}/share")["share_id"]
                self.ledger.add("share", id=share, chat_id=id)
                others = [other.id for other in self.ledger.users[:4] if other.id != user.id]
                client.post(
                    f"/api/v1/chats/shared/{id}/access/update",
                    {"access_grants": self.grants(("user", others[n % 3]))[:1]},
                )
        if n % 4 == 3:
            with self.attempt("edited message"):
                message = chat["chat"]["history"]["currentId"]
                client.post(f"/api/v1/chats/{id}/messages/{message}", {"content": self.author.reply(n + 1)})
        if n % 6 == 5:
            with self.attempt("chat parameters"):
                client.call("PATCH", f"/api/v1/chats/{id}/params", {"temperature": 0.25, "system": AWKWARD[2]})
        if n % 7 == 6:
            client.post(f"/api/v1/chats/{id}/unread")

    def _conversation(self, user: User, title: str) -> dict[str, Any]:
        """A chat as the browser saves it: a tree of messages, two answers to one of the questions."""
        messages: dict[str, dict[str, Any]] = {}
        order: list[str] = []
        parent: str | None = None
        when = _EPOCH + self.author.random.randint(0, 10**6)
        for turn in range(self.author.random.randint(2, 4)):
            number = self.number()
            question = self._message(messages, parent, "user", AWKWARD[number % len(AWKWARD)], when + turn * 60)
            question |= {"models": ["assistant-1"], "files": self._attachments(user) if turn == 0 else []}
            answers = [
                self._message(messages, question["id"], "assistant", self.author.reply(number + n), when + turn * 60 + 9)
                for n in range(2 if turn == 1 else 1)
            ]
            for answer in answers:
                answer |= {
                    "model": "assistant-1", "modelName": self.author.title(turn), "modelIdx": 0, "done": True,
                    "usage": {"prompt_tokens": number, "completion_tokens": 7, "tokens_per_second": 12.75},
                    "sources": [{"source": {"name": AWKWARD[5]}, "document": [self.author.sentence()],
                                 "distances": [0.1234567890123, 1e-9]}],
                    "statusHistory": [{"done": True, "action": "knowledge_search", "query": AWKWARD[2]}],
                    "followUps": [AWKWARD[0]], "info": self.author.attributes(turn), "annotation": {"rating": 1},
                }
            parent = answers[-1]["id"]
            order += [question["id"], parent]
        # The browser's clock: milliseconds reach chat_message.created_at.
        messages[order[0]]["timestamp"] = when * 1000 + 123
        if self.author.random.random() < 0.3:
            messages[order[-1]] |= {"done": True, "error": {"content": AWKWARD[1]}, "content": ""}
        return {
            "title": title, "models": ["assistant-1"], "params": {"temperature": 0.3}, "files": [],
            "tags": [], "timestamp": when * 1000, "system": AWKWARD[2], "extra": self.author.attributes(len(order)),
            "history": {"messages": messages, "currentId": parent},
            "messages": [messages[id] for id in order],
        }

    def _message(
        self, messages: dict[str, dict[str, Any]], parent: str | None, role: str, content: str, when: int
    ) -> dict[str, Any]:
        id = self.uuid()
        messages[id] = {
            "id": id, "parentId": parent, "childrenIds": [], "role": role, "content": content, "timestamp": when,
        }
        if parent is not None:
            messages[parent]["childrenIds"].append(id)
        return messages[id]

    def _attachments(self, user: User) -> list[dict[str, Any]]:
        own = [file["id"] for file in self.ledger.of("file") if file["owner"] == user.id]
        return [{"type": "file", "id": own[0], "name": AWKWARD[4], "status": "uploaded"}] if own else []

    # -- the rest -----------------------------------------------------------

    def notes(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            for n in range(3):
                with self.attempt("note"):
                    text = self.author.reply(n)
                    note = client.post(
                        "/api/v1/notes/create",
                        {"title": self.author.title(index + n), "meta": self.author.attributes(n),
                         "data": {"content": {"md": f"{text}\n{LITERAL_NUL}", "html": f"<p>{text}</p>", "json": None},
                                  "versions": [], "files": None},
                         "access_grants": self.grants(("user", self.ledger.users[(index + 1) % 4].id)) if n else []},
                    )
                    self.ledger.add("note", id=note["id"])
                    if n == 1:
                        client.post(f"/api/v1/notes/{note['id']}/pin")
                    if n == 2:
                        with self.attempt("note chat"):
                            client.post(f"/api/v1/notes/{note['id']}/chat")

    def channels(self) -> None:
        users = self.ledger.users
        forms = [
            {"name": "general-ü", "description": "\n".join(AWKWARD), "data": self.author.attributes(1), "meta": {"a": 1},
             "access_grants": [{"principal_type": "user", "principal_id": "*", "permission": p} for p in ("read", "write")]},
            {"name": "team", "type": "group", "is_private": True, "user_ids": [u.id for u in users[:3]],
             "group_ids": [g["id"] for g in self.ledger.of("group")[:1]]},
            {"name": "", "type": "dm", "user_ids": [users[1].id]},
        ]
        for n, form in enumerate(forms):
            with self.attempt("channel"):
                channel = self.admin.post("/api/v1/channels/create", form)
                self.ledger.add("channel", id=channel["id"])
                self._talk(channel["id"], self.clients[: 2 if n == 2 else 3])
                with self.attempt("channel webhook"):
                    hook = self.admin.post(
                        f"/api/v1/channels/{channel['id']}/webhooks/create",
                        {"name": AWKWARD[0], "profile_image_url": _PIXEL},
                    )
                    self.ledger.add("webhook", id=hook["id"])
                    self.anonymous.post(
                        f"/api/v1/channels/webhooks/{hook['id']}/{hook['token']}", {"content": AWKWARD[4]}
                    )
        with self.attempt("channel file"):
            file = self.admin.post(
                "/api/v1/files/?process=false",
                files={"file": ("in channel.txt", AWKWARD[8].encode(), "text/plain")},
                data={"metadata": json.dumps({"channel_id": self.ledger.of("channel")[0]["id"]})},
            )
            self.ledger.add("file", id=file["id"], owner=self.ledger.users[0].id, unprocessed="yes")
        with self.attempt("channel mute"):
            self.clients[1].post(
                f"/api/v1/channels/{self.ledger.of('channel')[1]['id']}/members/mute", {"is_channel_muted": True}
            )

    def _talk(self, channel: str, speakers: list[Client]) -> None:
        """Messages, threads, replies, reactions and pins, by several people."""
        base = f"/api/v1/channels/{channel}/messages"
        first: str | None = None
        for n, awkward in enumerate(AWKWARD[:8]):
            speaker = speakers[n % len(speakers)]
            with self.attempt("channel message"):
                message = speaker.post(
                    f"{base}/post",
                    {"content": f"{awkward}\n\n{self.author.sentence()}", "data": {"extra": self.author.attributes(n)},
                     "reply_to_id": first if n % 5 == 4 else None},
                )
                id = message["id"]
                self.ledger.add("message", id=channel, message_id=id)
                first = first or id
                if n % 3 == 0:
                    with self.attempt("thread"):
                        for answer in speakers:
                            child = answer.post(f"{base}/post", {"content": self.author.prose(1), "parent_id": id})
                            self.ledger.add("message", id=channel, message_id=child["id"])
                if n % 4 == 0:
                    with self.attempt("reaction"):
                        for m, reader in enumerate(speakers):
                            for emoji in ["👍", "thinking_face", "❤️"][: m + 1]:
                                reader.post(f"{base}/{id}/reactions/add", {"name": emoji})
                                self.ledger.add("reaction", id=id, name=emoji)
                if n % 4 == 1:
                    with self.attempt("pinned message"):
                        speaker.post(f"{base}/{id}/pin", {"is_pinned": True})
                if n % 6 == 5:
                    with self.attempt("edited channel message"):
                        speaker.post(f"{base}/{id}/update", {"content": self.author.reply(n)})

    def reading(self) -> None:
        """Everybody opens every channel once: the app notes that, and would note it at the first picture."""
        for client in self.clients:
            for channel in self.ledger.of("channel"):
                client.get(f"/api/v1/channels/{channel['id']}")
                client.get(f"/api/v1/channels/{channel['id']}/messages")

    def feedback(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            for n in range(3):
                with self.attempt("feedback"):
                    feedback = client.post(
                        "/api/v1/evaluations/feedback",
                        {"type": "rating",
                         "data": {"rating": [1, -1, "1"][n], "model_id": "assistant-1",
                                  "sibling_model_ids": ["assistant-2", "assistant-3"][: n], "reason": AWKWARD[n],
                                  "comment": "\n".join(AWKWARD), "details": {"rating": 7.5}, "tags": ["ü"]},
                         "meta": {"arena": n == 1, "chat_id": self.uuid(), "tags": ["it's"]},
                         "snapshot": {"chat": {"id": self.uuid(), "chat": self._conversation(user, AWKWARD[n])}}},
                    )
                    self.ledger.add("feedback", id=feedback["id"])

    def calendars(self) -> None:
        users = self.ledger.users
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            with self.attempt("calendar"):
                calendar = client.post(
                    "/api/v1/calendars/create",
                    {"name": self.author.title(index), "color": "#aa00ff", "data": self.author.attributes(index),
                     "access_grants": self.grants(("user", users[(index + 1) % 4].id))},
                )
                self.ledger.add("calendar", id=calendar["id"])
                for n in range(3):
                    with self.attempt("event"):
                        start = (_EPOCH + n * 86_400) * _NANO
                        event = client.post(
                            "/api/v1/calendars/events/create",
                            {"calendar_id": calendar["id"], "title": self.author.title(n), "start_at": start,
                             "description": "\n".join(AWKWARD), "end_at": start + 3600 * _NANO if n else None,
                             "all_day": n == 0, "rrule": "FREQ=WEEKLY;COUNT=4" if n == 2 else None,
                             "location": AWKWARD[8], "meta": {"alert_minutes": -1}, "data": self.author.attributes(n),
                             "attendees": [{"user_id": users[(index + 1) % 4].id, "status": "pending"}]},
                        )
                        self.ledger.add("event", id=event["id"])
                        if n == 1:
                            self.clients[(index + 1) % 4].post(
                                f"/api/v1/calendars/events/{event['id']}/rsvp", {"status": "accepted"}
                            )

    def memories(self) -> None:
        """Offline there is no embedding model: the app stores the row, then fails on the vector."""
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            for n in range(3):
                with self.attempt("memory vector"):
                    client.post("/api/v1/memories/add", {"content": [LITERAL_NUL, *AWKWARD][index + n], "type": ["user", "context"][n % 2]})
            with self.attempt("memory"):
                for memory in client.call("GET", "/api/v1/memories/"):
                    self.ledger.add("memory", id=memory["id"])

    def automations(self) -> None:
        for index, (user, client) in enumerate(self.each_user()):
            if user.role == "pending":
                continue
            with self.attempt("automation"):
                automation = client.post(
                    "/api/v1/automations/create",
                    {"name": self.author.title(index), "is_active": False, "meta": self.author.attributes(index),
                     "data": {"prompt": "\n".join(AWKWARD), "model_id": "assistant-1",
                              "rrule": "DTSTART:20990101T090000\nRRULE:FREQ=YEARLY"}},
                )
                self.ledger.add("automation", id=automation["id"])
        with self.attempt("automation run"):
            # It fails, for want of a model, and that is what the app writes down.
            path = f"/api/v1/automations/{self.ledger.of('automation')[0]['id']}"
            self.admin.post(f"{path}/run")
            for _ in range(_RUN_SECONDS * 10):
                if runs := self.admin.call("GET", f"{path}/runs"):
                    self.ledger.add("automation run", id=runs[0]["id"])
                    break
                time.sleep(0.1)

    def apps(self) -> None:
        with self.attempt("app"):
            app = self.admin.post(
                "/api/v1/apps",
                {"slug": "bot", "url": "https://bot.example.org/app", "api_key": "app-key-0123456789",
                 "manifest": {"id": "org.example.bot", "name": AWKWARD[0], "description": "\n".join(AWKWARD),
                              "public_key": _ED25519, "requested_scopes": ["channels:read", "channels:messages:read"]},
                 "granted_scopes": ["channels:read"],
                 "access_grants": [{"principal_type": "user", "principal_id": "*", "permission": "read"}]},
            )
            self.ledger.add("app", id=app["id"])
            self.admin.call("PATCH", f"/api/v1/apps/{app['id']}", {"settings": self.author.attributes(1)})

    def notifications(self) -> None:
        with self.attempt("notification target"):
            target = self.clients[1].post(
                "/api/v1/notifications/targets",
                {"type": "webhook", "enabled": False, "events": [], "config": {"url": "https://1.1.1.1/hook?a=%C3%BC"}},
            )
            self.ledger.add("notification target", id=target["id"])

    def api_keys(self) -> None:
        for user, client in self.each_user():
            if user.role == "pending":
                continue
            with self.attempt("API key"):
                user.api_key = client.post("/api/v1/auths/api_key")["api_key"]
                self.ledger.add("api key", id=user.id)

    def _list_versions(self) -> None:
        """Every version that the app has kept of a prompt, model, tool, function or skill."""
        for kind, path in {
            "prompt": "/api/v1/prompts/id/{}/history",
            "model": "/api/v1/models/model/history?id={}",
            "tool": "/api/v1/tools/id/{}/history",
            "function": "/api/v1/functions/id/{}/history",
            "skill": "/api/v1/skills/id/{}/history",
        }.items():
            for parent in self.ledger.of(kind):
                with self.attempt(f"{kind} versions"):
                    for version in self.admin.call("GET", path.format(parent["id"])):
                        self.ledger.add(f"{kind} version", id=parent["id"], history_id=version["id"])


def _all_true(permissions: Any) -> Any:
    """The same form with every permission granted, but for the one that would hide all chats."""
    if isinstance(permissions, dict):
        return {name: name != "temporary_enforced" and _all_true(value) for name, value in permissions.items()}
    return True


def fill(url: str, seed: int, chats_per_user: int) -> Ledger:
    """Fills the fresh instance at `url` and returns what was made. Raises `Refused` if not even a user could be."""
    return Fill(url, seed, chats_per_user).run()
