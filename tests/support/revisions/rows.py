"""The rows that a webui.db of a given revision holds: what a small installation would have written.

`fill` puts several rows into every table of the schema it finds. A builder names more columns than any
one revision has; the columns that the schema lacks are left out, and a column that no builder knows gets
a value by its declared type, so that a later app version still gets rows everywhere. Nothing is drawn at
random: the same schema always gets the same rows. Defects (orphans, broken JSON, NUL, duplicates) belong
to other tests; the one orphan here, `GHOST` in a group's `user_ids`, is one the app itself leaves behind.
"""

import hashlib
import json
import sqlite3
import uuid

EPOCH = 1_722_500_000  # s; a day in August 2024, after which every row was written
NS = 1_000_000_000
TRICKY = "O'Brien \"said\" C:\\new\\u0041 — 日本語 😀 👩‍👩‍👧 e\u0301 %s {0} $1 `x` <b>&amp;</b>\t|\r\n--; \u2028\u200d"
LITERAL_ESCAPE = "in C, '\\0' is written \\u0000 and \\\\u0000 in a string of a string"


def uid(kind: str, name: object) -> str:
    """A version-4 UUID as the app would have drawn it, always the same for one kind and name."""
    return str(uuid.UUID(bytes=hashlib.md5(f"{kind}/{name}".encode()).digest(), version=4))


ADMIN, ANA, BOB, OAUTH, PENDING = (uid("user", n) for n in ("admin", "ana", "bob", "oauth", "pending"))
USERS = (ADMIN, ANA, BOB, OAUTH, PENDING)
GHOST = uid("user", "deleted long ago")
GROUPS = tuple(uid("group", n) for n in range(3))
FILES = tuple(uid("file", n) for n in range(5))
KNOWLEDGE = tuple(uid("knowledge", n) for n in range(3))
FOLDERS = tuple(uid("folder", n) for n in range(3))
CHANNELS = tuple(uid("channel", n) for n in range(3))
MESSAGES = tuple(uid("message", n) for n in range(5))
NOTES = tuple(uid("note", n) for n in range(4))
CHATS = tuple(uid("chat", n) for n in range(9))
SHARED = (uid("share", 0), uid("share", 1))
CALENDARS = tuple(uid("calendar", n) for n in range(2))
EVENTS = tuple(uid("event", n) for n in range(3))
AUTOMATIONS = tuple(uid("automation", n) for n in range(2))
DIRECTORIES = tuple(uid("directory", n) for n in range(3))
APPS = tuple(uid("app", n) for n in range(2))
PROMPTS = ("summarise", "übersetze", "o'brien_\"q\"")

# No grant, an empty one, and one that the access_grant migration has to unfold.
PUBLIC, PRIVATE = None, {}
SOME = {
    "read": {"group_ids": [GROUPS[0], GROUPS[1]], "user_ids": [ANA]},
    "write": {"group_ids": [GROUPS[0]], "user_ids": [BOB, BOB]},
}


class Verbatim(str):
    """Text that goes into a JSON column as it is, whatever a serialiser would have made of it."""


def _message(name, parent, children, role, content, timestamp, **more):
    return {
        "id": name, "parentId": parent, "childrenIds": children, "role": role,
        "content": content, "timestamp": timestamp, **more,
    }


def _history(*messages, current=None):
    return {"messages": {m["id"]: m for m in messages}, "currentId": current or messages[-1]["id"]}


def _chat(title, history, **more):
    return {
        "id": "", "title": title, "models": ["llama3:latest"], "params": {}, "files": [], "tags": [],
        "history": history, "messages": list(history.get("messages", {}).values()), "timestamp": EPOCH * 1000, **more,
    }


def _conversations():
    """Nine chat documents, oldest client first; several have what migrations stumble over."""
    q, a, b = (uid("turn", n) for n in "qab")
    plain = _history(
        _message(q, None, [a, b], "user", "Hello", EPOCH + 1),
        _message(a, q, [], "assistant", TRICKY, EPOCH + 2, model="llama3:latest", done=True,
                 usage={"total_tokens": 12, "speed": 31.5}, statusHistory=[{"action": "web_search", "done": True}]),
        _message(b, q, [], "assistant", LITERAL_ESCAPE, EPOCH + 3, model="gpt-4o", done=True,
                 sources=[{"source": {"name": "ünïcode.pdf"}, "metadata": [{"page": 1}], "distances": [0.25]}]),
        current=a,
    )
    files = _history(
        _message("1", None, ["2"], "user", [{"type": "text", "text": "look"}], EPOCH + 10,
                 files=[{"type": "file", "id": FILES[0], "name": "a b.txt"}, {"type": "image", "url": "data:image/png;base64,iVBORw0KGgo="}]),
        _message("2", "1", [], "assistant", "", EPOCH + 11, error={"content": "It's broken: \"429\""}, done=False,
                 output=[{"type": "message", "content": [{"type": "output_text", "text": "…"}]}], embeds=["<iframe src='x'>"]),
    )
    clocks = _history(  # browsers send floats and milliseconds; old exports have none or nonsense
        _message("ms", None, ["float"], "user", "ms", (EPOCH + 20) * 1000 + 123),
        _message("float", "ms", ["none"], "assistant", "float", EPOCH + 21.75, model="m"),
        {"id": "none", "parentId": "float", "childrenIds": ["ancient"], "role": "user", "content": "no clock"},
        _message("ancient", "none", ["text"], "assistant", "1970", 7, model="m"),
        _message("text", "ancient", ["roleless"], "user", "clock as text", "yesterday"),
        {"id": "roleless", "parentId": "text", "content": "an unfinished reply"},
        current="text",
    )
    tree = _history(
        *(_message(f"n{i}", f"n{i - 1}" if i else None, [f"n{i + 1}"] if i < 5 else [], ("user", "assistant")[i % 2],
                   f"turn {i} {TRICKY}", EPOCH + 40 + i, model="llama3:latest") for i in range(6)),
        current="gone",  # points at a message that was deleted: the newest leaf counts instead
    )
    return (
        _chat("Plain", plain),
        _chat("Files and errors", files),
        _chat("Clocks", clocks),
        _chat(TRICKY, tree, system="Be \"terse\"", options={"temperature": 0.7, "seed": 2**53 + 1, "tiny": 1e-9}),
        # Before branching there was a list of messages, with no history.
        {"title": "List only", "models": [""], "messages": [{"id": "x1", "role": "user", "content": "old", "timestamp": EPOCH},
                                                            {"id": "x2", "parentId": "x1", "role": "assistant", "content": "form", "timestamp": EPOCH + 1}]},
        _chat("Shared", _history(_message("s1", None, [], "user", "for everyone", EPOCH + 60))),
        _chat("Shared, then deleted", _history(_message("d1", None, [], "user", "dangling", EPOCH + 61))),
        _chat("Empty", {"messages": {}, "currentId": None}),
        _chat("Timer", _history(_message("t1", None, [], "user", "remind me", EPOCH + 70))),
    )


def _chats(has):
    owners = (ADMIN, ANA, ANA, BOB, ANA, ADMIN, BOB, OAUTH, ADMIN)
    metas = (
        {"tags": ["work", "d'été"]}, {}, {"tags": ["work"]}, {"tags": ["日本語", "pinned_too"], "loaded": True}, {}, {}, {}, {},
        {"type": "timer", "status": "pending", "timer_at": EPOCH + 9000},
    )
    rows = []
    for n, document in enumerate(_conversations()):
        rows.append({
            "id": CHATS[n], "user_id": owners[n], "title": document["title"], "chat": document,
            "created_at": EPOCH + 100 * n, "updated_at": EPOCH + 100 * n + 50, "archived": n == 3, "pinned": (True, False, None)[n % 3],
            "share_id": SHARED[0] if n == 5 else None, "meta": metas[n],
            "folder_id": (FOLDERS[0], FOLDERS[1], None)[n % 3], "last_read_at": EPOCH + 100 * n + (60 if n % 2 else -60),
            "tasks": [{"id": "1", "content": TRICKY, "status": "pending"}] if n % 2 else None, "summary": TRICKY if n % 3 == 0 else None,
            "current_message_id": next(reversed(document.get("history", {}).get("messages", {"x2": 0})), None),
            "variables": {"name": "Zoë", "n": 1.50} if n % 4 == 0 else None, "timer_at": EPOCH + 9000 if n == 8 else None,
        })
    if not has("shared_chat"):  # a share was a second chat row, owned by "shared-<chat>"
        for n, original in enumerate((CHATS[5], uid("chat", "deleted"))):
            rows.append({
                **dict.fromkeys(rows[0]), "id": SHARED[n], "user_id": f"shared-{original}", "title": "Shared", "chat": _conversations()[5 + n],
                "created_at": EPOCH + 700 + n, "updated_at": EPOCH + 800 + n, "archived": False, "pinned": None, "meta": {},
            })
    return rows


def _chat_messages(has):
    rows = []
    for chat, document in zip(_chats(has), _conversations()):
        for name, message in document.get("history", {}).get("messages", {}).items():
            if "role" not in message:
                continue
            at = message.get("timestamp")
            at = int(at / 1000 if at > 10**11 else at) if isinstance(at, (int, float)) else EPOCH
            rows.append({
                "id": f"{chat['id']}-{name}", "chat_id": chat["id"], "user_id": chat["user_id"], "role": message["role"],
                "parent_id": message["parentId"], "content": message["content"], "output": message.get("output"),
                "model_id": message.get("model"), "files": message.get("files"), "sources": message.get("sources"),
                "embeds": message.get("embeds"), "done": message.get("done", True), "status_history": message.get("statusHistory"),
                "error": message.get("error"), "usage": message.get("usage"), "created_at": at, "updated_at": at + 1,
                "context_summary": TRICKY if name == "n2" else None, "meta": {"model": "m"} if name in ("n1", "n3") else None,
            })
    return rows


def _snapshot_rows(kind, of, **extra):
    """Two versions of each thing, the second a child of the first."""
    rows = []
    for n, thing in enumerate(of):
        first, second = uid(f"{kind}_history", f"{n}/1"), uid(f"{kind}_history", f"{n}/2")
        for version, parent in ((first, None), (second, first)):
            rows.append({
                "id": version, f"{kind}_id": thing, "parent_id": parent, "user_id": ANA, "created_at": EPOCH + n,
                "commit_message": None if parent is None else "it's \"better\"",
                "snapshot": {"name": f"{kind} {n}", "content": TRICKY, "meta": {}, "data": {}, **extra},
            })
    return rows


def _builders(has):
    """Table name to rows. `has(name)` tells whether the schema has that table."""
    def stamps(n, scale=1):
        return {"created_at": (EPOCH + n) * scale, "updated_at": (EPOCH + n + 5) * scale, "timestamp": EPOCH + n}

    people = (
        ("Admin", "admin@example.com", "admin"), ("Ana Zoë O'Brien", "Ana.Zoe@Example.com", "user"), ("Bob \\ \"B\" 😀", "bob@exämple.org", "user"),
        ("OAuth only", "oauth@example.com", "user"), ("Pending", "pending@example.com", "pending"),
    )
    settings = (
        {"ui": {"models": ["llama3:latest"], "memory": True, "system": TRICKY}}, {"ui": {"version": "0.5.0", "audio": {"tts": {"playbackRate": 1.25}}}},
        None, {"ui": {}, "notifications": {"webhook_url": "https://example.com/?a=1&b='x'"}}, Verbatim("null"),
    )
    user = [{
        "id": USERS[n], "name": name, "email": email, "role": role, **stamps(n), "last_active_at": EPOCH + 90 + n,
        "profile_image_url": ("/user.png", "data:image/png;base64,iVBORw0KGgo=")[n % 2], "settings": settings[n],
        "api_key": f"sk-{uid('key', n).replace('-', '')}" if n < 2 else None,
        "oauth_sub": {1: "google@1045", 2: "auth0|o'brien", 3: "github@someone@work"}.get(n), "info": {"location": "Zürich"} if n == 1 else None,
        "username": ("admin", "zoë", None, None, None)[n], "bio": TRICKY if n == 1 else None, "gender": "x" if n == 2 else None,
        "date_of_birth": "1990-02-28" if n == 1 else None, "profile_banner_image_url": None, "timezone": "Europe/Zurich" if n == 1 else None,
        "presence_state": "online" if n == 0 else None, "status_emoji": "🏝️" if n == 1 else None, "status_message": TRICKY if n == 1 else None,
        "status_expires_at": EPOCH + 5000 if n == 1 else None,
        # Double-encoded by an old sign-in, which 6d09d1bf1f23 repairs.
        "oauth": {1: {"google": {"sub": "1045"}}, 2: json.dumps({"oidc": {"sub": "auth0|o'brien"}}), 3: {"github": {"sub": 77}}}.get(n),
        "scim": {"okta": {"external_id": "00u1"}} if n == 2 else None, "variables": {"city": "Zürich"} if n == 1 else None,
    } for n, (name, email, role) in enumerate(people)]
    auth = [{
        "id": u["id"], "email": u["email"], "password": f"$2b$12$abcdefghijklmnopqrstu{n}vwxyzABCDEFGHIJKLMNOPQRSTUVWX", "active": n != 4,
        "mfa": {"totp": {"secret": "JBSWY3DPEHPK3PXP", "enabled": True}} if n == 0 else None, "session_stamp": uid("stamp", n) if n < 2 else None,
    } for n, u in enumerate(user) if n != 3]  # the OAuth account has no password: the last migration adds its row
    tags = [("Work", ADMIN), ("d'Été", ADMIN), ("日本語", BOB), ("pinned", ANA), ("Work Items", ANA)]
    composite = has.column("tag", "meta")
    tag = [{
        "id": name.replace(" ", "_").lower() if composite else uid("tag", n), "name": name, "user_id": owner,
        "data": None if n % 2 else "{}", "meta": {"color": "#fff"} if n == 1 else None,
    } for n, (name, owner) in enumerate(tags)]
    if composite and not has.unique("tag", ["id"]):
        tag.append({"id": "work", "name": "Work", "user_id": ANA, "meta": None})  # one tag, two owners
    chatidtag = [
        {"id": uid("chatidtag", n), "tag_name": name, "chat_id": CHATS[chat], "user_id": owner, **stamps(n)}
        for n, (name, chat, owner) in enumerate(
            (("Work", 0, ADMIN), ("d'Été", 0, ADMIN), ("pinned", 0, ADMIN), ("日本語", 3, BOB), ("pinned", 2, ANA), ("Work Items", 1, ANA)))
    ]
    documents = (("notes.txt", {"tags": [{"name": "a"}, {"name": "d'été"}]}), ("päper.pdf", {}), ("plain", None))
    document = [{
        "collection_name": hashlib.sha256(name.encode()).hexdigest()[:63], "name": name.replace(".", "-"), "title": f"{name} {TRICKY if n == 1 else ''}",
        "filename": name, "content": None if content is None else json.dumps(content), "user_id": USERS[n], **stamps(n),
    } for n, (name, content) in enumerate(documents)]
    file = [{
        "id": FILES[n], "user_id": USERS[n % 3], "filename": f"file {n} ü'\".txt", **stamps(n), "hash": hashlib.sha256(str(n).encode()).hexdigest(),
        "meta": {"name": f"file {n}.txt", "content_type": "text/plain", "size": 10 * n, "path": f"/app/backend/data/uploads/{n}",
                 "data": {"knowledge_id": KNOWLEDGE[0]}} if n != 2 else None,
        "data": {"content": TRICKY * (n + 1), "status": ("completed", "pending", "failed")[n % 3]} if n != 4 else {},
        "path": None if n == 2 else f"/app/backend/data/uploads/{n}", "access_control": (None, PRIVATE, SOME, None, {"read": {"group_ids": [], "user_ids": [ANA]}})[n],
    } for n in range(5)]
    function = [{
        "id": name, "user_id": ADMIN, "name": name.title(), "type": kind, "content": f'"""\ntitle: {TRICKY}\n"""\nclass Filter:\n    pass\n',
        "meta": {"description": TRICKY, "manifest": {"title": name, "version": "0.1"}, **({"toggle": True, "i18n": {}} if n else {})},
        "valves": {"priority": 0, "key": "sk-'x'"} if n else None, "is_active": n < 2, "is_global": n == 1, **stamps(n),
        "version_id": uid("function_history", f"{n}/2"),
    } for n, (name, kind) in enumerate((("translate", "filter"), ("pipe_one", "pipe"), ("act", "action")))]
    tool = [{
        "id": name, "user_id": ANA, "name": name.title(), "content": "class Tools:\n    def f(self, x: str) -> str:\n        return \"\\u00fc\" + x\n",
        "specs": [{"name": "f", "description": TRICKY, "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}],
        "meta": {"description": "it's", "manifest": {}}, "valves": None if n else {"limit": 3, "ratio": 0.10}, **stamps(n),
        "access_control": (PUBLIC, SOME)[n], "version_id": uid("tool_history", f"{n}/2"),
    } for n, name in enumerate(("weather", "search_it"))]
    model = [{
        "id": name, "user_id": ADMIN if n else None, "base_model_id": None if n == 1 else "llama3:latest", "name": f"{name} {TRICKY if n == 2 else ''}",
        "params": {"system": TRICKY, "temperature": 0.5, "stop": ["\n"], "num_ctx": 4096} if n else {},
        "meta": {"description": None, "profile_image_url": "/static/favicon.png", "capabilities": {"vision": True}, "hidden": True, "tags": [{"name": "ä"}]},
        **stamps(n), "is_active": n != 1, "access_control": (PUBLIC, PRIVATE, SOME)[n], "version_id": uid("model_history", f"{n}/2"),
    } for n, name in enumerate(("assistant", "gpt-4o", "o'brien:7b"))]
    slash = "" if has("prompt_history") else "/"
    prompt = [{
        "id": uid("prompt", n), "command": slash + command, "user_id": USERS[n], "title": f"Title {n}", "name": f"Title {n} {TRICKY}",
        "content": "Summarise {{CLIPBOARD}}: " + TRICKY, **stamps(n), "access_control": (PUBLIC, SOME, PRIVATE)[n], "data": {}, "meta": {},
        "is_active": n != 1, "version_id": uid("prompt_history", f"{n}/2"), "tags": ["a", "ü"][:n],
    } for n, command in enumerate(PROMPTS)]
    settings_blob = {
        "version": 0, "ui": {"default_locale": "de-CH", "prompt_suggestions": [{"title": ["It's", "ü"], "content": TRICKY}], "enable_signup": False},
        "openai": {"enable": True, "api_base_urls": ["https://api.openai.com/v1"], "api_keys": ["sk-'\\\""], "api_configs": {"0": {"enable": True}}},
        "rag": {"template": TRICKY, "top_k": 3, "relevance_threshold": 0.0, "openai_api_key": "sk-2", "web": {"search": {"enable": True, "domain": {"filter_list": []}}}},
        "oauth": {"oidc": {"client_id": "webui", "scopes": "openid email"}}, "user": {"permissions": {"chat": {"delete": False}}}, "custom": {"unknown": {"x": [1, 2.50, None]}},
        "ENABLE_CHANNELS": True,
    }
    blob = [{"id": n + 1, "data": {"version": 0, "ui": {}} if n == 0 else settings_blob, "version": 0,
             "created_at": f"2024-09-{10 + n} 08:05:0{n}", "updated_at": f"2024-10-0{n + 1} 23:59:59.123456" if n else None} for n in range(2)]
    keys = [{"key": key, "value": value, "updated_at": EPOCH + n} for n, (key, value) in enumerate((
        ("ui.default_locale", "de-CH"), ("rag.top_k", 3), ("rag.relevance_threshold", 0.25), ("ui.enable_signup", False), ("webui.url", "https://o'b.example/ü"),
        ("openai.api_configs", {"0": {"enable": True, "prefix_id": TRICKY}}), ("ui.banners", []), ("task.model.default", ""), ("models.default_params", Verbatim("null")),
        ("version", Verbatim("0")), ("oauth.timeout", "30"), ("rag.hybrid_bm25_weight", Verbatim("0.50")),
    ))]
    knowledge = [{
        "id": KNOWLEDGE[n], "user_id": USERS[n], "name": f"Knowledge {n}", "description": TRICKY if n else "", "meta": {"legacy": True, "tags": ["ü"]} if n else None,
        "data": ({"file_ids": [FILES[0], FILES[1]]}, {"file_ids": [FILES[1], uid("file", "gone")]}, None)[n], **stamps(n), "access_control": (PUBLIC, SOME, PRIVATE)[n],
    } for n in range(3)]
    folder = [{
        "id": FOLDERS[n], "parent_id": FOLDERS[0] if n == 1 else None, "user_id": (ADMIN, ANA, BOB)[n], "name": f"Folder {n} {TRICKY}",
        "items": {"chat_ids": [CHATS[n]], "file_ids": []} if n else None, "meta": {"icon": "📁"} if n == 2 else None, "is_expanded": n == 0, **stamps(n),
        "data": {"system_prompt": TRICKY, "files": []} if n == 1 else None,
    } for n in range(3)]
    feedback = [{
        "id": uid("feedback", n), "user_id": USERS[n], "version": n, "type": "rating", "data": {"rating": (1, -1)[n], "model_id": "llama3", "reason": TRICKY, "tags": []},
        "meta": {"chat_id": CHATS[n], "message_id": "1", "arena": bool(n)}, "snapshot": {"chat": {"id": CHATS[n], "chat": _conversations()[n]}}, **stamps(n),
    } for n in range(2)]
    group = [{
        "id": GROUPS[n], "user_id": ADMIN, "name": f"Group {n} ü", "description": TRICKY if n else "", "data": {"config": {"share": True}} if n == 2 else None, "meta": None,
        "permissions": {"workspace": {"models": True}, "chat": {"delete": False}} if n else None, "user_ids": ([ADMIN, ANA], [ANA, BOB, GHOST], [])[n],
        **stamps(n), "parent_group_id": GROUPS[0] if n == 1 else None,
    } for n in range(3)]
    channel = [{
        "id": CHANNELS[n], "user_id": ADMIN, "name": f"channel-{n}", "description": TRICKY if n else None, "data": None, "meta": {"topic": "ü"} if n else None,
        "access_control": (PUBLIC, SOME, PRIVATE)[n], **stamps(n, NS), "type": (None, "group", "dm")[n], "is_private": (None, True, False)[n],
        "archived_at": None, "archived_by": None, "deleted_at": (EPOCH + 400) * NS if n == 2 else None, "deleted_by": ADMIN if n == 2 else None, "updated_by": ANA if n else None,
    } for n in range(3)]
    message = [{
        "id": MESSAGES[n], "user_id": USERS[n % 3], "channel_id": CHANNELS[n % 2], "content": f"{n} {TRICKY}", "data": {"files": [{"id": FILES[n]}]} if n else None,
        "meta": {"model_id": "m"} if n == 3 else None, "created_at": (EPOCH + n) * NS + 123_456_789, "updated_at": (EPOCH + n) * NS + 987_654_321,
        "parent_id": MESSAGES[0] if n in (2, 4) else None, "reply_to_id": MESSAGES[2] if n == 4 else None, "is_pinned": n == 1,
        "pinned_at": (EPOCH + 50) * NS if n == 1 else None, "pinned_by": ADMIN if n == 1 else None, "app_id": APPS[0] if n == 3 else None,
    } for n in range(5)]
    message_reaction = [{"id": uid("reaction", n), "user_id": USERS[n], "message_id": MESSAGES[n], "name": ("thumbs_up", "🎉", "o'clock")[n],
                         "created_at": (EPOCH + n) * NS} for n in range(3)]
    channel_member = [{
        "id": uid("member", n), "channel_id": CHANNELS[n % 3], "user_id": None if n == 3 else USERS[n], "created_at": (EPOCH + n) * NS, "status": "joined",
        "is_active": n != 2, "is_channel_muted": n == 1, "is_channel_pinned": n == 0, "data": None, "meta": {"x": "ü"} if n else None, "joined_at": (EPOCH + n) * NS,
        "left_at": (EPOCH + 60) * NS if n == 2 else None, "last_read_at": (EPOCH + 70) * NS + n, "updated_at": (EPOCH + n) * NS, "role": (None, "manager")[n % 2],
        "invited_by": ADMIN if n else None, "invited_at": (EPOCH + n) * NS if n else None, "app_id": APPS[0] if n == 3 else None,
    } for n in range(4 if has("app") else 3)]
    note = [{
        "id": NOTES[n], "user_id": USERS[n % 3], "title": f"Note {n} {TRICKY}", "data": {"content": {"md": f"# {TRICKY}", "html": "<p>ü</p>", "json": None}},
        "meta": None if n else {}, "access_control": (PUBLIC, PRIVATE, SOME, Verbatim("null"))[n], **stamps(n, NS), "is_pinned": (True, False, None, True)[n],
    } for n in range(4)]
    grants = [("knowledge", KNOWLEDGE[0], "user", "*", "read"), ("channel", CHANNELS[1], "group", GROUPS[0], "write"),
              ("prompt", uid("prompt", 1), "user", ANA, "read"), ("note", NOTES[2], "group", GROUPS[1], "read")]
    ghostless = [(g["id"], u) for g in group for u in g["user_ids"] if u != GHOST]
    day = {"created_at": (EPOCH + 3) * NS, "updated_at": (EPOCH + 4) * NS}
    return {
        "user": user, "auth": auth, "tag": tag, "chatidtag": chatidtag, "document": document, "file": file, "function": function, "tool": tool,
        "model": model, "prompt": prompt, "knowledge": knowledge, "folder": folder, "feedback": feedback, "group": group, "channel": channel,
        "message": message, "message_reaction": message_reaction, "channel_member": channel_member, "note": note, "chat": _chats(has),
        "memory": [{"id": uid("memory", n), "user_id": USERS[n], "content": f"likes {TRICKY}", **stamps(n), "type": ("context", "fact")[n % 2],
                    "path": f"/a/{n} ü" if n else None, "meta": {"k": [n, 1.0]} if n else None} for n in range(3)],
        "config": keys if has.column("config", "key") else blob, "config_old": blob,
        "chat_message": _chat_messages(has),
        "oauth_session": [{"id": uid("session", n), "user_id": USERS[n], "provider": ("google", "mcp:o'brien")[n], "token": "gAAAAABm" + "x" * 90 + "==",
                           "expires_at": EPOCH + 3600, **stamps(n)} for n in range(2)],
        "group_member": [{"id": uid("group_member", n), "group_id": g, "user_id": u, **stamps(n)} for n, (g, u) in enumerate(ghostless)],
        "api_key": [{"id": f"key_{USERS[n]}", "user_id": USERS[n], "key": f"sk-{uid('key', n).replace('-', '')}", "data": {"name": "ü"} if n else None,
                     "expires_at": None, "last_used_at": EPOCH + 7 if n else None, **stamps(n)} for n in range(2)],
        "channel_webhook": [{"id": uid("webhook", n), "user_id": ADMIN, "channel_id": CHANNELS[n], "name": TRICKY, "profile_image_url": None, "token": uid("token", n),
                             "last_used_at": None if n else EPOCH * NS, **stamps(n, NS)} for n in range(2)],
        "knowledge_file": [{"id": uid("knowledge_file", n), "user_id": USERS[n], "knowledge_id": KNOWLEDGE[k], "file_id": FILES[f], **stamps(n),
                            "directory_id": DIRECTORIES[0] if n == 1 else None} for n, (k, f) in enumerate(((0, 0), (0, 1), (1, 1)))],
        "knowledge_directory": [{"id": DIRECTORIES[n], "knowledge_id": KNOWLEDGE[0], "parent_id": DIRECTORIES[0] if n == 1 else None, "name": f"dir {n} ü",
                                 "user_id": ADMIN, **stamps(n)} for n in range(3)],
        "channel_file": [{"id": uid("channel_file", n), "user_id": USERS[n], "channel_id": CHANNELS[n], "file_id": FILES[n], "message_id": MESSAGES[n] if n else None,
                          **stamps(n)} for n in range(2)],
        "chat_file": [{"id": uid("chat_file", n), "user_id": USERS[n], "chat_id": CHATS[n], "file_id": FILES[n], "message_id": "1" if n else None,
                       **stamps(n)} for n in range(2)],
        "prompt_history": _snapshot_rows("prompt", [uid("prompt", n) for n in range(3)], command="x"),
        "skill_history": _snapshot_rows("skill", [uid("skill", n) for n in range(2)]),
        "model_history": _snapshot_rows("model", [m["id"] for m in model], params={"stop": ["\n"]}),
        "tool_history": _snapshot_rows("tool", [t["id"] for t in tool]),
        "function_history": _snapshot_rows("function", [f["id"] for f in function]),
        "access_grant": [{"id": uid("grant", n), "resource_type": t, "resource_id": r, "principal_type": p, "principal_id": i, "permission": m, "created_at": EPOCH + n}
                         for n, (t, r, p, i, m) in enumerate(grants + ([("shared_chat", CHATS[5], "user", "*", "read")] if has("shared_chat") else []))],
        "shared_chat": [{"id": SHARED[0], "chat_id": CHATS[5], "user_id": ADMIN, "title": TRICKY, "chat": _conversations()[5], **stamps(1)},
                        {"id": SHARED[1], "chat_id": CHATS[0], "user_id": ADMIN, "title": None, "chat": None, **stamps(2)}],
        "skill": [{"id": uid("skill", n), "user_id": USERS[n], "name": f"skill-{n}-ü", "description": TRICKY if n else None, "content": f"# Skill\n{TRICKY}",
                   "meta": {"tags": []} if n else None, "is_active": bool(n), **stamps(n), "version_id": uid("skill_history", f"{n}/2"),
                   "data": {"files": [{"path": "SKILL.md", "content": TRICKY}]}} for n in range(2)],
        "automation": [{"id": AUTOMATIONS[n], "user_id": ANA, "name": TRICKY, "data": {"prompt": TRICKY, "rrule": "FREQ=DAILY", "model_id": "m"}, "meta": None,
                        "is_active": bool(n), "last_run_at": None, "next_run_at": (EPOCH + 86_400) * NS, **day, "folder_id": FOLDERS[1] if n else None} for n in range(2)],
        "automation_run": [{"id": uid("run", n), "automation_id": AUTOMATIONS[n], "chat_id": CHATS[n] if n else None, "status": ("error", "success")[n],
                            "error": None if n else TRICKY, "created_at": (EPOCH + n) * NS} for n in range(2)],
        "calendar": [{"id": CALENDARS[n], "user_id": USERS[n], "name": TRICKY, "color": "#ff0000" if n else None, "is_default": not n, "data": None, "meta": {} if n else None,
                      **day} for n in range(2)],
        "calendar_event": [{"id": EVENTS[n], "calendar_id": CALENDARS[n % 2], "user_id": USERS[n % 2], "title": TRICKY, "description": None if n else TRICKY,
                            "start_at": (EPOCH + 3600 * n) * NS, "end_at": None if n == 2 else (EPOCH + 3600 * n + 1800) * NS, "all_day": n == 2,
                            "rrule": "FREQ=WEEKLY;BYDAY=MO" if n else None, "color": None, "location": "Café \"Ü\"" if n else None, "data": {"alert_minutes": 10}, "meta": None,
                            "is_cancelled": n == 1, **day} for n in range(3)],
        "calendar_event_attendee": [{"id": uid("attendee", n), "event_id": EVENTS[n], "user_id": USERS[n], "status": ("pending", "accepted")[n], "meta": None, **day} for n in range(2)],
        "pinned_note": [{"id": uid("pinned_note", n), "user_id": USERS[n], "note_id": NOTES[n], "created_at": (EPOCH + n) * NS} for n in range(2)],
        "modelfile": [{"tag_name": name, "user_id": USERS[n], **stamps(n), "modelfile": {
            "tagName": name, "imageUrl": "data:image/png;base64,iVBORw0KGgo=", "title": f"Mario {n}", "desc": "It's-a me", "categories": ["character"],
            "content": f'FROM llama2\nPARAMETER temperature 0.{n}\nSYSTEM """{TRICKY}"""', "suggestionPrompts": [{"content": "ü?"}], "user": {"name": "o'b", "community": False},
        }} for n, name in enumerate(("mario:latest", "peach\"s:7b"))],
        "app": [{"id": APPS[n], "slug": f"app-{n}", "name": TRICKY, "user_id": ADMIN if n else None, "is_active": bool(n), "data": {"url": "https://example.com", "ü": [1]},
                 "api_key": None if n else "sk-app", **stamps(n)} for n in range(2)],
    }


class Schema:
    """What the builders ask of a database's schema."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
        self.tables = [name for (name,) in names if name not in ("alembic_version", "migratehistory")]
        self._columns = {table: db.execute(f'PRAGMA table_info("{table}")').fetchall() for table in self.tables}

    def __call__(self, table):
        return table in self._columns

    def columns(self, table):
        """Name to declared type, whether NULL is refused, whether the row id stands in it."""
        return {
            name: (kind.upper(), bool(required), bool(key) and kind.upper() == "INTEGER")
            for _, name, kind, required, _, key in self._columns[table]
        }

    def column(self, table, name):
        return any(row[1] == name for row in self._columns.get(table, ()))

    def unique(self, table, columns):
        for _, index, unique, _, _ in self._db.execute(f'PRAGMA index_list("{table}")').fetchall():
            if unique and [row[2] for row in self._db.execute(f'PRAGMA index_info("{index}")')] == columns:
                return True
        return False


def _generic(kind, table, column, n):
    """A value for a column that no builder knows, by its declared type."""
    if "JSON" in kind:
        return {"column": column, "n": n}
    if "BOOL" in kind:
        return bool(n % 2)
    if "INT" in kind:
        return EPOCH + n
    if "DATE" in kind or "TIME" in kind:
        return f"2024-10-0{n + 1} 12:00:00"
    return f"{table}.{column} {n} {TRICKY}"


def _value(row, table, column, definition, n):
    kind, required, is_row_id = definition
    if is_row_id:
        return n + 1
    if column not in row:
        return _stored(_generic(kind, table, column, n), kind, n)
    value = _stored(row[column], kind, n)
    if value is None and required:  # Peewee's tables refuse NULL nearly everywhere
        return "{}" if column in ("meta", "params", "specs", "valves") else ""
    return value


def _stored(value, kind, n):
    """As SQLAlchemy binds it: JSON as text, a boolean as 0 or 1.

    An absent JSON value is NULL when the app leaves it out and `null` when it names it, so both occur.
    Releases before 0.10 escaped everything beyond ASCII, later ones write it as it is.
    """
    if isinstance(value, Verbatim):
        return str(value)
    if "JSON" in kind or isinstance(value, (dict, list)):
        return None if value is None and n % 2 == 0 else json.dumps(value, ensure_ascii=n % 2 == 0)
    return int(value) if isinstance(value, bool) else value


def fill(db: sqlite3.Connection, only=None):
    """Put rows into every table, or into those in `only`; returns the number of rows by table."""
    schema = Schema(db)
    builders, counts = _builders(schema), {}
    if not schema.column("channel_member", "joined_at"):
        # 2f1211949ecc adds a NOT NULL column without a default, which no database accepts once the table has
        # rows. No release wrote to it before, so an authentic file has none.
        builders["channel_member"] = []
    for table in schema.tables if only is None else only:
        columns = schema.columns(table)
        rows = builders.get(table, [{}, {}])
        for n, row in enumerate(rows):
            values = {column: _value(row, table, column, definition, n) for column, definition in columns.items()}
            names = ", ".join(f'"{column}"' for column in values)
            db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(values))})', list(values.values()))
        counts[table] = len(rows)
    db.commit()
    return counts
