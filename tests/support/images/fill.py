"""Makes content of every kind that has rows, through the HTTP API of whatever version answers.

The forms have changed little between 0.3 and today, and none minds a field that it does not know: each request names
what every version asks for. What a version does not have, it refuses, and the ledger keeps that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from openwebui.client import Client, Refused
from openwebui.content import AWKWARD, LITERAL_NUL, Author
from openwebui.fill import _FUNCTION as FUNCTION
from openwebui.fill import _PIXEL as PIXEL
from openwebui.fill import _TOOL as TOOL
from openwebui.ledger import Ledger, User

# Two with passwords of their own: one user alone hides what an upgrade does wrong for the second.
_PEOPLE = [("Ada \"Admin\" O'Neil", "ada@example.org"), ("Björn Ängström 👩🏽‍🚀", "bjorn@example.org")]
_EPOCH = 1_767_603_600  # s
_EVERYBODY = [{"principal_type": "user", "principal_id": "*", "permission": "read"}]


class Fill:
    """One run against one fresh instance."""

    def __init__(self, url: str) -> None:
        self.author, self.ledger, self.anonymous = Author(10), Ledger(10), Client(url)
        self.clients: list[Client] = []

    @contextmanager
    def attempt(self, kind: str):
        """Notes a refusal under `kind` and goes on."""
        try:
            yield
        except Refused as refusal:
            self.ledger.refused.append({
                "kind": kind, "request": f"{refusal.method} {refusal.path}", "status": refusal.status, "reason": refusal.reason,
            })

    def run(self) -> Ledger:
        steps: list[Callable[[], None]] = [
            self.people, self.settings, self.groups, self.files, self.workspace, self.folders, self.chats, self.talk, self.the_rest,
        ]
        for step in steps:
            with self.attempt(step.__name__):
                step()
        return self.ledger

    def people(self) -> None:
        for index, (name, email) in enumerate(_PEOPLE):
            user = User(name, email, f"Pa55 wörd {index}")
            form = {"name": name, "email": email, "password": user.password, "profile_image_url": PIXEL, "role": "user"}
            # The first to sign up becomes the admin; an admin adds the second.
            answer = self.clients[0].post("/api/v1/auths/add", form) if index else self.anonymous.post("/api/v1/auths/signup", form)
            user.id, user.role = answer["id"], answer["role"]
            self.ledger.users.append(user)
            self.ledger.add("user", id=user.id)
            self.clients.append(self.anonymous.sign_in(email, user.password))
            # Who came first, the app asks by the second; two users of one second come in any order.
            time.sleep(1.1)

    def settings(self) -> None:
        admin = self.clients[0]
        with self.attempt("admin settings"):
            path = "/api/v1/auths/admin/config"
            admin.post(path, admin.call("GET", path) | {
                "ENABLE_SIGNUP": False, "DEFAULT_USER_ROLE": "user", "ENABLE_CHANNELS": True, "ENABLE_API_KEYS": True, "ENABLE_API_KEY": True,
                "ENABLE_NOTES": True, "ENABLE_FOLDERS": True, "WEBUI_URL": "https://chat.example.org", "PENDING_USER_OVERLAY_TITLE": AWKWARD[0],
            })
        with self.attempt("banners"):
            admin.post("/api/v1/configs/banners", {"banners": [
                {"id": self.author.title(1), "type": "info", "title": AWKWARD[2][:20], "content": "\n".join(AWKWARD), "dismissible": True, "timestamp": _EPOCH}
            ]})
        with self.attempt("suggestions"):
            admin.post("/api/v1/configs/suggestions", {"suggestions": [{"title": [AWKWARD[4], "b"], "content": LITERAL_NUL}]})
        for index, client in enumerate(self.clients):
            with self.attempt("profile"):
                client.post("/api/v1/auths/update/profile", {
                    "name": _PEOPLE[index][0], "profile_image_url": PIXEL, "bio": AWKWARD[1], "gender": "x", "date_of_birth": "2000-02-29",
                })
            with self.attempt("user settings"):
                client.post("/api/v1/users/user/settings/update", {"ui": self.author.attributes(index)})
            with self.attempt("user info"):
                client.post("/api/v1/users/user/info/update", self.author.attributes(index + 1))
            with self.attempt("API key"):
                self.ledger.users[index].api_key = client.post("/api/v1/auths/api_key")["api_key"]

    def groups(self) -> None:
        ids = [user.id for user in self.ledger.users]
        form = {"name": "Grüppe", "description": AWKWARD[0], "permissions": {"workspace": {"models": True}}, "data": None}
        with self.attempt("group"):
            group = self.clients[0].post("/api/v1/groups/create", form)
            self.ledger.add("group", id=group["id"])
            with self.attempt("group members"):
                self.clients[0].post(f"/api/v1/groups/id/{group['id']}/update", form | {"user_ids": ids})
            with self.attempt("group members"):
                self.clients[0].post(f"/api/v1/groups/id/{group['id']}/users/add", {"user_ids": ids})

    def files(self) -> None:
        for index, client in enumerate(self.clients):
            with self.attempt("file"):
                text = f"{index} {self.author.prose(1)}\n" + "\n".join(AWKWARD)
                file = client.post("/api/v1/files/", files={"file": (f"notes ü {index}.txt", text.encode(), "text/plain")})
                self.ledger.add("file", id=file["id"])
        with self.attempt("knowledge"):
            knowledge = self.clients[0].post("/api/v1/knowledge/create", {
                "name": AWKWARD[8], "description": AWKWARD[0], "data": {}, "access_control": None, "access_grants": _EVERYBODY,
            })
            self.ledger.add("knowledge", id=knowledge["id"])
            for file in self.ledger.of("file")[:1]:
                with self.attempt("file of a knowledge base"):
                    self.clients[0].post(f"/api/v1/knowledge/{knowledge['id']}/file/add", {"file_id": file["id"]})

    def workspace(self) -> None:
        admin = self.clients[0]
        for number in range(2):
            shared = {"access_control": None if number else {}, "access_grants": _EVERYBODY if number else []}
            model = {
                "id": f"assistant-{number}", "base_model_id": None, "name": self.author.title(number), "is_active": bool(number),
                "meta": {"profile_image_url": PIXEL, "description": AWKWARD[number], "capabilities": {"vision": True}, "tags": [{"name": "ü"}]},
                "params": {"temperature": 0.5, "system": AWKWARD[3], "stop": ["\n", "\\"]}, **shared,
            }
            for path in ("/api/v1/models/create", "/api/v1/models/add"):  # 0.3 says "add"
                with self.attempt("model"):
                    self.ledger.add("model", id=admin.post(path, model)["id"])
                    break
            for command in (f"/greet-{number}", f"greet-{number}"):  # 0.8 wants no slash
                with self.attempt("prompt"):
                    title = self.author.title(number)
                    prompt = admin.post("/api/v1/prompts/create", {
                        "command": command, "title": title, "name": title, "content": "\n".join([*AWKWARD, LITERAL_NUL]), "tags": ["ü"], **shared,
                    })
                    self.ledger.add("prompt", id=str(prompt.get("id", command)), command=command.lstrip("/"))
                    break
            with self.attempt("tool"):
                tool = admin.post("/api/v1/tools/create", {
                    "id": f"convert_{number}", "name": AWKWARD[0], "content": TOOL, "meta": {"description": AWKWARD[1], "manifest": {}}, **shared,
                })
                self.ledger.add("tool", id=tool["id"])
                admin.post(f"/api/v1/tools/id/{tool['id']}/valves/update", {"factor": 2.5, "note": AWKWARD[number]})
            with self.attempt("function"):
                function = admin.post("/api/v1/functions/create", {
                    "id": f"shout_{number}", "name": AWKWARD[1], "content": FUNCTION, "meta": {"description": AWKWARD[0], "manifest": {}},
                })
                self.ledger.add("function", id=function["id"])
                if number:
                    admin.post(f"/api/v1/functions/id/{function['id']}/toggle")
                admin.post(f"/api/v1/functions/id/{function['id']}/valves/update", {"priority": 3, "suffix": AWKWARD[number]})
        with self.attempt("skill"):
            skill = admin.post("/api/v1/skills/create", {
                "id": "skill-1", "name": "Skill ü", "description": AWKWARD[0], "content": "\n".join(AWKWARD), "meta": {}, "is_active": True,
                "access_grants": _EVERYBODY,
            })
            self.ledger.add("skill", id=skill["id"])

    def folders(self) -> None:
        for index, client in enumerate(self.clients):
            parent = None
            for number in range(2):
                with self.attempt("folder"):
                    folder = client.post("/api/v1/folders/", {"name": f"{number} {AWKWARD[4]}", "data": self.author.attributes(index), "meta": {"icon": "🎉"}})
                    self.ledger.add("folder", id=folder["id"], owner=str(index))
                    if parent:
                        client.post(f"/api/v1/folders/{folder['id']}/update/parent", {"parent_id": parent})
                    parent = folder["id"]

    def chats(self) -> None:
        for index, client in enumerate(self.clients):
            for number in range(4):
                with self.attempt("chat"):
                    chat = client.post("/api/v1/chats/new", {"chat": self._conversation(number)})
                    self.ledger.add("chat", id=chat["id"])
                    path = f"/api/v1/chats/{chat['id']}"
                    with self.attempt("tags"):
                        for tag in ("général ü", "b"):
                            client.post(f"{path}/tags", {"name": tag, "tag_name": tag, "chat_id": chat["id"]})
                    if number == 1:
                        with self.attempt("shared chat"):
                            share = client.post(f"{path}/share", {})
                            self.ledger.add("share", id=str(share.get("share_id")))
                    if number == 2:
                        with self.attempt("pinned chat"):
                            client.post(f"{path}/pin")
                        with self.attempt("chat in a folder"):
                            for folder in [f for f in self.ledger.of("folder") if f["owner"] == str(index)][:1]:
                                client.post(f"{path}/folder", {"folder_id": folder["id"]})
                    if number == 3:
                        for method in ("POST", "GET"):  # 0.3 archives at a GET
                            with self.attempt("archived chat"):
                                client.call(method, f"{path}/archive")
                                break

    def _conversation(self, number: int) -> dict[str, Any]:
        messages: dict[str, dict[str, Any]] = {}
        parent = None
        for turn in range(4):
            id = f"00000000-0000-4000-8000-{self.author.random.getrandbits(40):012x}"
            messages[id] = {
                "id": id, "parentId": parent, "childrenIds": [], "role": "assistant" if turn % 2 else "user",
                "content": self.author.reply(number + turn) if turn % 2 else AWKWARD[(number + turn) % len(AWKWARD)], "timestamp": _EPOCH + turn,
                **({"model": "assistant-1", "modelName": AWKWARD[4], "modelIdx": 0, "done": True, "info": self.author.attributes(turn)} if turn % 2 else
                   {"models": ["assistant-1"]}),
            }
            if parent:
                messages[parent]["childrenIds"].append(id)
            parent = id
        return {
            "id": "", "title": self.author.title(number), "models": ["assistant-1"], "params": {"temperature": 0.3}, "files": [], "tags": [],
            "timestamp": _EPOCH * 1000, "history": {"messages": messages, "currentId": parent}, "messages": list(messages.values()),
            "extra": LITERAL_NUL,
        }

    def talk(self) -> None:
        with self.attempt("channel"):
            channel = self.clients[0].post("/api/v1/channels/create", {
                "name": "general-ü", "description": AWKWARD[0], "data": self.author.attributes(1), "meta": {"a": 1}, "access_control": None,
                "access_grants": [*_EVERYBODY, _EVERYBODY[0] | {"permission": "write"}],
            })
            self.ledger.add("channel", id=channel["id"])
            for number, client in enumerate(self.clients * 2):
                with self.attempt("message"):
                    path = f"/api/v1/channels/{channel['id']}/messages"
                    message = client.post(f"{path}/post", {"content": self.author.reply(number), "data": {"x": AWKWARD[number]}, "meta": {}})
                    self.ledger.add("message", id=channel["id"], message_id=message["id"])
                    client.post(f"{path}/{message['id']}/reactions/add", {"name": "👍"})
            # The app notes who has read a channel, and would note it at the first picture.
            for client in self.clients:
                client.get(f"/api/v1/channels/{channel['id']}")
                client.get(f"/api/v1/channels/{channel['id']}/messages")

    def the_rest(self) -> None:
        for index, client in enumerate(self.clients):
            with self.attempt("feedback"):
                feedback = client.post("/api/v1/evaluations/feedback", {
                    "type": "rating", "data": {"rating": 1, "model_id": "assistant-1", "reason": AWKWARD[0], "comment": "\n".join(AWKWARD)},
                    "meta": {"chat_id": self.ledger.of("chat")[0]["id"]}, "snapshot": {"chat": {"title": AWKWARD[2]}},
                })
                self.ledger.add("feedback", id=feedback["id"])
            with self.attempt("note"):
                note = client.post("/api/v1/notes/create", {
                    "title": self.author.title(index), "data": {"content": {"md": "\n".join([*AWKWARD, LITERAL_NUL])}}, "meta": self.author.attributes(1),
                    "access_control": None, "access_grants": _EVERYBODY,
                })
                self.ledger.add("note", id=note["id"])
            with self.attempt("memory"):
                client.post("/api/v1/memories/add", {"content": f"{AWKWARD[0]} {LITERAL_NUL}", "type": "user"})
