"""The app with an empty vector store in place of a remote one, for filling only.

The slim app has no vector store of its own and refuses to link a file to a
knowledge base without one. Rows are what is moved, so vectors may go nowhere.
Imported by uvicorn, never by the other modules: it loads the whole app.
"""

from __future__ import annotations

from collections.abc import Callable

import open_webui.retrieval.vector.factory as vectors


class NoVectors:
    """Answers every call of a vector store with nothing found, nothing done."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments, **_options: None


vectors.VECTOR_DB_CLIENT = NoVectors()

from open_webui.main import app  # noqa: E402  the store must be in place first

__all__ = ["app"]
