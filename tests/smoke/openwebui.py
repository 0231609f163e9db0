"""Owns Open WebUI's HTTP API: makes content as a user would, and reads all of it back for comparison."""

import json
import urllib.error
import urllib.request
import uuid

from engine import eventually

ADMIN = {"name": "Ada Ünïcode", "email": "ada@example.com", "password": "correct horse battery staple"}
UPLOAD = "Grüße aus dem Volume 🐘\n".encode()


class OpenWebUI:
    """A client of one server, signed in once `sign_up` or `sign_in` was called."""

    def __init__(self, container):
        self.container = container
        self.url = f"http://127.0.0.1:{container.port}"
        self.token = None

    def request(self, method, path, body=None, content_type="application/json"):
        """The answer's body as bytes; HTTP errors are exceptions."""
        headers = {"Content-Type": content_type}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def get(self, path):
        return json.loads(self.request("GET", path))

    def post(self, path, body):
        return json.loads(self.request("POST", path, json.dumps(body).encode()))

    def answers(self):
        try:
            return self.get("/health") == {"status": True}
        except (OSError, ValueError):
            return False

    def wait(self, timeout=180):
        """Until the server serves; fails at once if its container ends."""

        def serving():
            state = self.container.state
            assert state["Running"] or state["Restarting"], (
                f"the container ended with {state['ExitCode']}:\n{self.container.logs()}")
            return self.answers()

        eventually("Open WebUI answers", serving, timeout)
        return self

    def sign_up(self):
        self.token = self.post("/api/v1/auths/signup", {**ADMIN, "profile_image_url": ""})["token"]

    def sign_in(self):
        self.token = self.post("/api/v1/auths/signin", {"email": ADMIN["email"], "password": ADMIN["password"]})["token"]
        return self

    def upload(self, name, content):
        boundary = uuid.uuid4().hex
        body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n"
                "Content-Type: text/plain\r\n\r\n").encode() + content + f"\r\n--{boundary}--\r\n".encode()
        path = "/api/v1/files/?process=false"
        return json.loads(self.request("POST", path, body, f"multipart/form-data; boundary={boundary}"))

    def fill(self):
        """A little of what people have: chats, a folder, a note, a prompt, a file."""
        self.sign_up()
        for number, text in enumerate(["quotes ' \" and \\ backslashes", "emoji 🐘🦣 and \\u0000 as text", "line\nbreak\ttab"]):
            message = {"id": f"m{number}", "parentId": None, "childrenIds": [], "role": "user", "content": text,
                       "timestamp": 1700000000 + number}
            self.post("/api/v1/chats/new", {"chat": {
                "title": f"Chat {number}: {text}", "models": ["none"],
                "history": {"messages": {message["id"]: message}, "currentId": message["id"]}}})
        self.post("/api/v1/folders/", {"name": "Ordner"})
        self.post("/api/v1/notes/create", {"title": "Notiz", "data": {"content": {"md": "# ☃"}}})
        self.post("/api/v1/prompts/create", {"command": "smoke", "name": "Smoke", "content": "{{x}} \\ 'y'"})
        self.upload("hello.txt", UPLOAD)

    def content(self):
        """Everything that `fill` made, as the API serves it."""
        chats = self.get("/api/v1/chats/list")
        files = self.get("/api/v1/files/")
        files = files["items"] if isinstance(files, dict) else files
        return {
            "chats": sorted((self.get(f"/api/v1/chats/{chat['id']}") for chat in chats), key=lambda chat: chat["id"]),
            "folders": self.get("/api/v1/folders/"),
            "notes": self.get("/api/v1/notes/"),
            "prompts": self.get("/api/v1/prompts/"),
            "files": [(file["id"], self.request("GET", f"/api/v1/files/{file['id']}/content")) for file in files],
            "user": {key: value for key, value in self.get("/api/v1/auths/").items()
                     if key in ("id", "email", "name", "role")},
        }
