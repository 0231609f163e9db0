"""The app with an empty vector store in place of a remote one, for filling only: see `openwebui.vectorless`.

The store's module has had three names. Imported by uvicorn, never by the other modules.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

_STORES = ("retrieval.vector.factory", "retrieval.vector.connector", "apps.retrieval.vector.connector")


class NoVectors:
    """Answers every call of a vector store with nothing found, nothing done."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments, **_options: None


for _name in _STORES:
    try:
        importlib.import_module(f"open_webui.{_name}").VECTOR_DB_CLIENT = NoVectors()
    except ModuleNotFoundError:
        continue
    break

from open_webui.main import app  # noqa: E402  the store must be in place first

__all__ = ["app"]
