"""Prose and code for the chats: the Python standard library's docstrings, documentation and sources, in pieces.

Nothing is random letters: how well text compresses decides how long PostgreSQL takes with it.
"""

import json
import re
import sysconfig
from pathlib import Path

DOCSTRING = re.compile(r'(?:\'\'\'|""")(.{80,20000}?)(?:\'\'\'|""")', re.DOTALL)
WORDS = re.compile(r"[A-Za-z]{2,}")


class Corpus:
    """Pieces of text as the inside of a JSON string, in the order of the library: neighbours are of one module."""

    def __init__(self):
        prose, code = [], []
        library = Path(sysconfig.get_path("stdlib"))
        for path in sorted(library.rglob("*.py")):
            if "site-packages" in path.parts or "dist-packages" in path.parts:
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue
            # PostgreSQL holds no NUL, and the app would not store one.
            text = text.replace("\0", "")
            if path.name == "topics.py" and path.parent.name == "pydoc_data":
                topics = {}
                exec(compile(text, str(path), "exec"), topics)  # a dictionary: the language reference
                prose += paragraphs("\n\n".join(value for _, value in sorted(topics["topics"].items())))
                continue
            for docstring in DOCSTRING.findall(text):
                prose += paragraphs(docstring)
            code += blocks(text)
        if len(prose) < 1000 or len(code) < 1000:
            raise SystemExit(f"bench: {library} holds too little text; install the whole standard library")
        self.prose = [escaped(text) for text in prose]
        self.code = [escaped(f"```python\n{block}\n```") for block in code]
        self.titles = [text[:60].split("\n")[0].rstrip(" ,.:;`'\"\\") for text in prose]


def escaped(text: str) -> str:
    """The inside of the JSON string, as the app writes it: UTF-8, not \\u escapes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def paragraphs(text: str) -> list[str]:
    """Paragraphs that read as prose, unindented."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = " ".join(paragraph.split())
        reads = paragraph[:1].isupper() and paragraph[-1:] in ".:)!?" and "self." not in paragraph
        if reads and 60 <= len(paragraph) <= 1500 and len(WORDS.findall(paragraph)) * 9 > len(paragraph):
            found.append(paragraph)
    return found


def blocks(text: str) -> list[str]:
    """Functions and classes, or the first screens of them."""
    found = []
    for block in re.split(r"\n\n\n+", text):
        block = block.strip("\n")
        if len(block) > 150:
            found.append(block[:2400].rsplit("\n", 1)[0])
    return found
