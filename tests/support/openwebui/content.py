"""Made-up text with everything in it that has broken a database move before.

Owns words, not objects: `fill` decides what the words become. The same seed
gives the same words.
"""

from __future__ import annotations

import random
from typing import Any

# One entry per thing that escaping, encoding or COPY formats get wrong.
AWKWARD = [
    "it's “quoted” \"twice\" and `ticked`",
    r"C:\temp\new\x41 \\server\share \N \. \\",
    r"\x41, \u00e9 and \ud83d stay as they stand here: a backslash, a letter, digits",
    "tab\there, newline\nhere, CRLF\r\nhere, bell \x07 and DEL \x7f",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 — flags, joiners, skin tones",
    "combining e\u0301 is not é; no-break\u00a0space; zero\u200bwidth",
    "line\u2028separator, paragraph\u2029separator, byte order mark \ufeff inside",
    "العربية ثم עברית ثم עוד English, \u202ereversed\u202c",
    "中文、日本語、한국어, тест, ελληνικά, ไทย, हिन्दी",
    "𝕬𝖘𝖙𝖗𝖆𝖑 𐍈 𠜎 beyond the first plane, \uffff at its end",
    "'; DROP TABLE chat; -- $1 %s {0} ${HOME} {{7*7}} <b>&amp;</b>",
    "  leading and trailing blanks  ",
    "ÄÖÜ äöü ß ẞ İ ı straße STRASSE",
]

# Six legitimate characters, and none of them is a NUL. Kept apart from AWKWARD because on PostgreSQL the app's
# search for chats passes over every chat that has them.
LITERAL_NUL = r"a literal \u0000 is text"

_WORDS = (
    "the a of and to in is that for with on as by this from or be are at it not "
    "database row table move index water light river stone paper city market bread "
    "window letter song engine garden winter number answer question reason letter "
    "makes takes gives finds keeps turns holds brings writes reads shows leaves "
    "old new small large quiet bright slow early late open plain green little"
).split()

_CODE = {
    "python": 'def area(radius: float) -> float:\n    """π·r², \\"exactly\\"."""\n    return 3.14159 * radius ** 2\n',
    "rust": 'fn main() {\n    println!("{:?}", "\\u{1F980} \\\\ \\"raw\\"");\n}\n',
    "sql": "SELECT \"user\".\"name\", E'\\\\x00' FROM \"user\" WHERE note LIKE '100\\%' ESCAPE '\\';\n",
    "json": '{"empty": "", "tab": "\\t", "deep": [[[{}]]], "n": 1e-7}\n',
    "bash": "printf '%s\\n' \"${1:-$'\\t'}\" | sed 's/\\\\/\\//g'\n",
}


class Author:
    """Writes text and picks numbers, always the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, choices: list[Any]) -> Any:
        return self.random.choice(choices)

    def sentence(self) -> str:
        words = [self.pick(_WORDS) for _ in range(self.random.randint(5, 18))]
        return " ".join(words).capitalize() + "."

    def prose(self, paragraphs: int) -> str:
        return "\n\n".join(
            " ".join(self.sentence() for _ in range(self.random.randint(3, 7)))
            for _ in range(paragraphs)
        )

    def code(self) -> str:
        language = self.pick(sorted(_CODE))
        return f"```{language}\n{_CODE[language]}```"

    def title(self, number: int) -> str:
        """A short text that carries one awkward thing, on a single line."""
        awkward = AWKWARD[number % len(AWKWARD)].replace("\r\n", " ").replace("\n", " ")
        return f"{number}: {awkward}"

    def reply(self, number: int) -> str:
        """A message as models write them: prose, a code block, something awkward."""
        return "\n\n".join([self.prose(2), self.code(), AWKWARD[number % len(AWKWARD)], self.sentence()])

    def attributes(self, number: int) -> dict[str, Any]:
        """A JSON object with every JSON type in it, nested and empty ones too."""
        return {
            "text": AWKWARD[number % len(AWKWARD)],
            "number": self.random.randint(-(2**53), 2**53),
            "fraction": self.random.random(),
            "tiny": 1e-7,
            "exponent": 1e22,
            "yes": True,
            "no": False,
            "nothing": None,
            "empty": {"text": "", "list": [], "object": {}},
            "nested": [[1, [2, [3, [{"deep": self.sentence()}]]]]],
            "Ключ \"with\" \\ marks": "value",
        }
