"""One user's conversation with a running Open WebUI: sign in, send, receive."""

from __future__ import annotations

import time
from typing import Any

import httpx

_TIMEOUT_SECONDS = 60.0

# Below uvicorn's 5 s: an idle connection must be ours to close, or a request meets the server's close.
_KEEP_ALIVE_SECONDS = 2.0


class Refused(Exception):
    """The API answered with something else than success."""

    def __init__(self, method: str, path: str, status: int, reason: str) -> None:
        super().__init__(f"{method} {path}: {status} {reason}")
        self.method, self.path, self.status, self.reason = method, path, status, reason


class Client:
    """An HTTP session, signed in or not. `token` is a session or an API key."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # trust_env=False: a proxy of the machine must not see 127.0.0.1.
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False,
            limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_SECONDS),
        )
        self.url, self.token = url, token

    def get(self, path: str, query: dict[str, Any] | None = None) -> httpx.Response:
        """The raw response, whatever its status: a refusal is part of what the API serves."""
        try:
            response = self._http.get(path, params=query)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            # After a 500 uvicorn closes the connection, and the next request on it finds out.
            response = self._http.get(path, params=query)
        # The session cookie would outrank the header's token in a few handlers.
        self._http.cookies.clear()
        return response

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The decoded answer. Raises `Refused` unless the status is 2xx."""
        response = self._http.request(method, path, json=body, **more)
        self._http.cookies.clear()
        if not response.is_success:
            raise Refused(method, path, response.status_code, _reason(response))
        return response.json() if response.content else None

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("POST", path, body, **more)

    def sign_in(self, email: str, password: str) -> "Client":
        """A new session for that user, opened with the password."""
        return Client(self.url, self.post("/api/v1/auths/signin", {"email": email, "password": password})["token"])


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail"))[:300]
    except (ValueError, AttributeError):
        return response.text[:300]


def wait_until_healthy(url: str, seconds: float, pid: int | None = None) -> float:
    """Seconds until `/health` answered 200. Raises TimeoutError, or ProcessLookupError if `pid` is gone."""
    start = time.monotonic()
    with httpx.Client(trust_env=False, timeout=2) as http:
        while (waited := time.monotonic() - start) < seconds:
            try:
                if http.get(f"{url}/health").status_code == 200:
                    return waited
            except httpx.TransportError:
                pass
            if pid is not None and not _is_running(pid):
                raise ProcessLookupError(f"the app (pid {pid}) ended before it answered on {url}")
            time.sleep(0.2)
    raise TimeoutError(f"no answer on {url}/health within {seconds:.0f} s")


def _is_running(pid: int) -> bool:
    """False for a process that is gone, or dead and not yet waited for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
