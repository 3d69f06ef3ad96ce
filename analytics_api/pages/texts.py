"""The pages' two languages. The English text is its own key; i18n/ru.json holds the Russian for each."""

import json
import re
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "ru": "Русский"}
_FOLDER = Path(__file__).parent / "i18n"
_UNITS = re.compile(r"\b(?:days?|h|min)\b")
_SHORT = {"day": "d", "days": "d"}
_WEIGHT = re.compile(r"^([a-z]{2})(?:-[a-z0-9-]+)?(?:\s*;\s*q=([0-9.]+))?$")


@cache
def _catalogue() -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    document = json.loads((_FOLDER / "ru.json").read_text("utf-8"))
    sentences = [(re.compile(pattern, re.DOTALL), text) for pattern, text in document["sentences"].items()]
    return document["texts"], sentences


class _Part(str):
    """A part of a sentence: `{0}` shows it as it stands, `{0:t}` translated, `{0:u}` with its units translated."""

    __slots__ = ()

    def __format__(self, how: str) -> str:
        texts, _ = _catalogue()
        if how == "t":
            return texts.get(self, self)
        return _UNITS.sub(lambda unit: texts[_SHORT.get(unit[0], unit[0])], self) if how == "u" else str(self)


def translate(language: str, text: str) -> str:
    """`text` in `language`; what has no translation stays English.

    Sentences that services put together (alarms, problems) are found by their pattern.
    """
    if language != "ru" or not text:
        return text
    texts, sentences = _catalogue()
    if (found := texts.get(text)) is not None:
        return found
    for pattern, wanted in sentences:
        if match := pattern.fullmatch(text):
            return wanted.format(*map(_Part, match.groups()))
    return text


def negotiate(chosen: str | None, accept_language: str) -> str:
    """The language: the switch's, else the best of Accept-Language that there is, else English."""
    if chosen in LANGUAGES:
        return str(chosen)
    offers = []
    for place, part in enumerate(accept_language.lower().split(",")):
        match = _WEIGHT.match(part.strip())
        if match and match[1] in LANGUAGES:
            try:
                weight = float(match[2] or 1)
            except ValueError:
                continue
            if weight > 0:
                offers.append((-weight, place, match[1]))
    return min(offers)[2] if offers else "en"
