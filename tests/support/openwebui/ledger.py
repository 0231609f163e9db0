"""What a fill has made: users with their passwords, ids by kind, and what the API refused."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class User:
    name: str
    email: str
    password: str
    id: str = ""
    role: str = ""
    api_key: str = ""
    session: str = ""  # a token from before the move; must still be good after it


@dataclass
class Ledger:
    seed: int
    users: list[User] = field(default_factory=list)
    # kind -> objects; each has "id" and, where a route needs more than one, those by parameter name
    objects: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    refused: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, **ids: str) -> None:
        self.objects[kind].append(ids)

    def of(self, kind: str) -> list[dict[str, str]]:
        return self.objects.get(kind, [])

    def counts(self) -> dict[str, int]:
        return {"user": len(self.users)} | {kind: len(ids) for kind, ids in sorted(self.objects.items())}

    def write(self, path: Path) -> None:
        document = {
            "seed": self.seed,
            "counts": self.counts(),
            "users": [vars(user) for user in self.users],
            "objects": self.objects,
            "refused": self.refused,
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            seed=document["seed"],
            users=[User(**user) for user in document["users"]],
            objects=defaultdict(list, document["objects"]),
            refused=document["refused"],
        )
