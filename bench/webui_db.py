"""A `webui.db` at Alembic's head, of any size, as a killed Open WebUI leaves it: the last of it is in the WAL.

About as one was measured: 20,000 chats and 168,000 messages a GB, each message twice (in the chat's history, and as
a row of `chat_message`), files with the text that was extracted from them, among them some of several MB. The same
size, seed and Python give the same rows.

A chat keeps to its subject, as chats do: its pieces are of one module of the library, and an answer often gives a
block of code again with a line of it changed. One chat in four is about uploaded knowledge: beside each answer are
the three excerpts of 1,000 characters that the app gave to the model (its defaults), drawn from the same few.
"""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .corpus import Corpus

MB = 1_000_000
VERSION = 4  # part of the cached file's name: change it with the content
START = 1_735_689_600  # s, the first chat
CHATS_PER_GB = 20_000
WAL_BYTES = 4 * MB


@dataclass(frozen=True)
class Source:
    """A generated file, and what is in it."""

    path: Path
    bytes: int  # with its WAL
    rows: dict[str, int]
    largest: int  # bytes of the largest value


class Writer:
    """Draws rows and inserts them."""

    def __init__(self, connection: sqlite3.Connection, corpus: Corpus, seed: str):
        self.connection, self.corpus = connection, corpus
        self.random = random.Random(seed)
        self.now = START
        self.users: list[str] = []
        self.folders: list[tuple[str, str]] = []
        self.tags: list[tuple[str, str]] = []
        self.largest = 0

    def uuid(self) -> str:
        digits = f"{self.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def insert(self, table: str, rows: list[dict]) -> None:
        columns = ", ".join(f'"{column}"' for column in rows[0])
        marks = ", ".join("?" * len(rows[0]))
        self.connection.executemany(
            f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', [tuple(row.values()) for row in rows]
        )

    def title(self) -> str:
        return self.random.choice("🐍 📚 🔧 🧪 🌍 💡".split()) + " " + self.random.choice(self.corpus.titles)

    def sentence(self) -> str:
        """A paragraph as the inside of a JSON string."""
        return self.random.choice(self.corpus.prose)

    def people(self, count: int) -> None:
        users, auths = [], []
        for n in range(count):
            user, name = self.uuid(), f"User {n}"
            self.users.append(user)
            users.append({
                "id": user, "name": name, "email": f"user{n}@example.org", "role": "user" if n else "admin",
                "profile_image_url": "/user.png", "last_active_at": START + n, "updated_at": START, "created_at": START,
                "settings": f'{{"ui":{{"theme":"dark","system":"{self.sentence()}"}}}}', "oauth": "null",
            })
            # A bcrypt hash has 53 characters after its cost; this one belongs to no password.
            password = "$2b$12$" + hashlib.sha256(user.encode()).hexdigest()[:53]
            auths.append({"id": user, "email": f"user{n}@example.org", "password": password, "active": 1})
            for name in self.random.sample(["python", "database", "network", "testing", "typing", "email"], 3):
                self.tags.append((name, user))
            for _ in range(2):
                self.folders.append((self.uuid(), user))
        self.insert("user", users)
        self.insert("auth", auths)
        self.insert("tag", [{"id": tag, "name": tag.title(), "user_id": user, "meta": None} for tag, user in self.tags])
        self.insert("folder", [
            {"id": folder, "parent_id": None, "user_id": user, "name": f"{self.title()} {n}", "items": "null",
             "meta": "{}", "is_expanded": n % 2, "created_at": START, "updated_at": START, "data": "{}"}
            for n, (folder, user) in enumerate(self.folders)
        ])
        defaults = {"ui.default_locale": "", "auth.signup.enable": False, "rag.top_k": 3, "openai.api_base_urls": ["https://api.openai.com/v1"]}
        self.insert("config", [
            {"key": key, "value": json.dumps(value), "updated_at": START} for key, value in defaults.items()
        ])

    def subject(self) -> "Subject":
        return Subject(self.random, self.corpus)

    def chats(self, count: int) -> None:
        """Chats in the shape in which the app saves them, with a row for each message."""
        chats, messages, feedbacks = [], [], []
        for _ in range(count):
            user = self.random.choice(self.users)
            chat, title = self.uuid(), self.title()
            model = self.random.choice(["llama3.1:8b", "qwen2.5-coder:14b", "gpt-4o"])
            self.now += self.random.randint(1, 900)
            at, parent, history, subject = self.now, None, [], self.subject()
            ids = [self.uuid() for _ in range(max(2, round(self.random.gauss(8.4, 4))))]
            for n, message in enumerate(ids):
                role = "assistant" if n % 2 else "user"
                content = subject.answer() if n % 2 else subject.question()
                at += self.random.randint(5, 300)
                children = f'"{ids[n + 1]}"' if n + 1 < len(ids) else ""
                tokens = len(content) // 4
                sources = subject.sources() if n % 2 and subject.knowledge else ""
                usage = f'{{"prompt_tokens":{tokens},"completion_tokens":{tokens},"total_tokens":{2 * tokens}}}' if n % 2 else "null"
                if n % 2:
                    beside = f'"sources":{sources},' if sources else ""
                    about = f'"model":"{model}","modelName":"{model}","modelIdx":0,"done":true,{beside}"usage":{usage}'
                else:
                    about = f'"models":["{model}"]'
                history.append(
                    f'"{message}":{{"id":"{message}","parentId":{json.dumps(parent)},"childrenIds":[{children}],"role":"{role}",'
                    f'"content":"{content}","timestamp":{at},{about}}}'
                )
                messages.append((
                    f"{chat}-{message}", chat, user, role, f"{chat}-{parent}" if parent else None, f'"{content}"', "null",
                    model if n % 2 else None, "null", sources or "null", 1, usage, at, at, "null",
                ))
                parent = message
            body = (
                f'{{"title":{json.dumps(title, ensure_ascii=False)},"models":["{model}"],"params":{{}},"files":[],"tags":[],'
                f'"timestamp":{self.now}000,"history":{{"messages":{{{",".join(history)}}},"currentId":"{ids[-1]}"}}}}'
            )
            self.largest = max(self.largest, len(body.encode()))
            folder = self.random.choice(self.folders)[0] if self.random.random() < 0.2 else None
            tags = [tag for tag, owner in self.tags if owner == user]
            chats.append((
                chat, user, title, self.now, at, None, int(self.random.random() < 0.1), body, 0,
                json.dumps({"tags": self.random.sample(tags, 1)}), folder, "null", at, ids[-1],
            ))
            if self.random.random() < 0.05:
                feedbacks.append({
                    "id": self.uuid(), "user_id": user, "version": 0, "type": "rating",
                    "data": f'{{"rating":{self.random.choice([1, -1])},"model_id":"{model}","reason":"accurate","comment":"{self.sentence()}"}}',
                    "meta": json.dumps({"arena": False, "chat_id": chat, "message_id": ids[-1], "tags": []}),
                    "snapshot": f'{{"chat":{{"id":"{chat}","user_id":"{user}","chat":{body}}}}}', "created_at": at, "updated_at": at,
                })
        self.connection.executemany(
            "INSERT INTO chat (id, user_id, title, created_at, updated_at, share_id, archived, chat, pinned, meta, folder_id,"
            " tasks, last_read_at, current_message_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", chats,
        )
        self.connection.executemany(
            "INSERT INTO chat_message (id, chat_id, user_id, role, parent_id, content, output, model_id, files, sources, done, usage,"
            " created_at, updated_at, meta) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", messages,
        )
        if feedbacks:
            self.insert("feedback", feedbacks)

    def file(self, size: int) -> None:
        """An uploaded file of `size` bytes of extracted text: the library from some place on."""
        pieces, length = [], 0
        at = self.random.randrange(len(self.corpus.prose))
        while length < size:
            pieces.append(self.corpus.prose[at % len(self.corpus.prose)])
            pieces.append(self.corpus.code[at * len(self.corpus.code) // len(self.corpus.prose) % len(self.corpus.code)])
            length += len(pieces[-1]) + len(pieces[-2]) + 8
            at += 1
        data = '{"content":"' + "\\n\\n".join(pieces) + '","status":"completed","error":null}'
        file, digest = self.uuid(), hashlib.sha256(data.encode()).hexdigest()
        self.largest = max(self.largest, len(data.encode()))
        self.insert("file", [{
            "id": file, "user_id": self.random.choice(self.users), "filename": f"{file[:8]}.txt",
            "meta": json.dumps({"name": f"{file[:8]}.txt", "content_type": "text/plain", "size": size, "data": {}}),
            "created_at": self.now, "updated_at": self.now, "hash": digest, "data": data,
            "path": f"/app/backend/data/uploads/{file}_{file[:8]}.txt",
        }])


class Subject:
    """What one chat is about, and what has been said of it."""

    def __init__(self, rng: random.Random, corpus: Corpus):
        self.random = rng
        place = rng.random()
        self.prose = near(corpus.prose, place, 60)
        self.code = near(corpus.code, place, 20)
        self.shown: list[str] = []
        self.knowledge: list[str] = []
        if rng.random() < 0.25:
            text = " ".join(self.prose).replace("\\", "").replace('"', "")  # so that no escape is cut in two
            self.knowledge = [text[at:at + 1000] for at in range(0, 8000, 900)]

    def paragraphs(self, least: int, most: int) -> list[str]:
        return self.random.choices(self.prose, k=self.random.randint(least, most))

    def block(self) -> str:
        """A block of code: a new one, or one that was shown before with a line changed."""
        if self.shown and self.random.random() < 0.5:
            at = self.random.randrange(len(self.shown))
            lines = self.shown[at].split("\\n")
            lines[self.random.randrange(1, len(lines))] = "    # " + self.random.choice(self.prose)[:50].split("\\")[0]
            self.shown[at] = "\\n".join(lines)
            return self.shown[at]
        self.shown.append(self.random.choice(self.code))
        return self.shown[-1]

    def question(self) -> str:
        pieces = self.paragraphs(1, 3)
        if self.random.random() < 0.15:
            pieces.append(self.block())
        return "\\n\\n".join(pieces)

    def answer(self) -> str:
        pieces = []
        for _ in range(self.random.randint(1, 4)):
            pieces += self.paragraphs(1, 4)
            if self.random.random() < 0.45:
                pieces.append(self.block())
        return "\\n\\n".join(pieces)


    def sources(self) -> str:
        """What the app keeps beside an answer: the excerpts that the model was given."""
        drawn = self.random.sample(range(len(self.knowledge)), 3)
        metadata = ",".join(f'{{"name":"notes.txt","source":"notes.txt","start_index":{900 * n},"embedding_config":"{{}}"}}' for n in drawn)
        distances = ",".join(str(round(self.random.uniform(0.4, 0.9), 15)) for _ in drawn)
        excerpts = ",".join(f'"{self.knowledge[n]}"' for n in drawn)
        return (
            f'[{{"source":{{"type":"file","id":"notes","name":"notes.txt"}},"document":[{excerpts}],'
            f'"metadata":[{metadata}],"distances":[{distances}]}}]'
        )


def near(pieces: list[str], place: float, count: int) -> list[str]:
    """`count` pieces from `place` on, where 0 is the library's beginning and 1 its end."""
    return pieces[int(place * (len(pieces) - count)):][:count]


def fill(connection: sqlite3.Connection, path: Path, size: int, largest: int, seed: str) -> dict:
    """Fills the empty database at `path` and returns what it then holds, some of it in the WAL."""
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
    writer = Writer(connection, Corpus(), seed)
    connection.execute("BEGIN")
    writer.people(max(5, round(200 * size / 1e9)))
    # One large file for each 100 MB, of 1 to 8 MB, and one of each size asked for beyond that.
    sizes = [1 + n % 8 for n in range(size // (100 * MB))]
    for large in sizes:
        writer.file(large * MB)
    for large in (largest, largest // 2):
        if large > 8 * MB:
            writer.file(large - MB // 10)
    for _ in range(max(10, round(150 * size / 1e9))):
        writer.file(writer.random.randint(2_000, 400_000))
    connection.execute("COMMIT")
    while os.path.getsize(path) < size - WAL_BYTES:
        connection.execute("BEGIN")
        writer.chats(100)
        connection.execute("COMMIT")
        # A checkpoint moves the WAL into the file; only then does its size tell.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    while os.path.getsize(f"{path}-wal") < WAL_BYTES:
        writer.chats(10)
    return {"rows": count(connection), "largest": writer.largest, "bytes": os.path.getsize(path) + os.path.getsize(f"{path}-wal")}


def make(cache: Path, empty: Path, size: int, largest: int = 0, seed: str = "bench") -> Source:
    """The file of about `size` bytes, from the cache if it was made before. `empty` is one at head without rows."""
    python = ".".join(map(str, sys.version_info[:3]))  # whose library the text is taken from
    folder = cache / f"webui-{size // MB}-{largest // MB}-{seed}-{VERSION}-{python}"
    path, account = folder / "webui.db", folder / "account.json"
    if not account.exists():
        print(f"bench: making a webui.db of {size // MB} MB", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(empty, path)
        # In a process that ends without closing: a close would checkpoint.
        command = [sys.executable, "-B", "-m", __name__, path, str(size), str(largest), seed, folder / "half"]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
        (folder / "half").rename(account)
    told = json.loads(account.read_text())
    return Source(path, told["bytes"], told["rows"], told["largest"])


def quick(work: Path) -> Source:
    """The small file in the repository, which has rows in nearly every table."""
    path = work / "quick" / "webui.db"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parents[1] / "tests/fixtures/quick.sql").read_text(encoding="utf-8"))
    counted = count(connection)
    connection.close()
    return Source(path, path.stat().st_size, counted, 0)


def count(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of rows of every table of the app."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'alembic_version' ORDER BY 1"
    ).fetchall()
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables}


if __name__ == "__main__":
    target, wanted, large, seed, told = sys.argv[1:]
    database = sqlite3.connect(target, isolation_level=None)
    Path(told).write_text(json.dumps(fill(database, Path(target), int(wanted), int(large), seed)))
    os._exit(0)
