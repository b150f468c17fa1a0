"""Data that the package Babel carries, from Unicode's CLDR: names in many languages, and written dates."""

from __future__ import annotations

import datetime
import random
from typing import Any

from gradproof.models.data.tables import Row, Rows
from gradproof.models.mistakes import InputError

LANGUAGES = [
    "af",
    "az",
    "bs",
    "ca",
    "cs",
    "cy",
    "da",
    "de",
    "en",
    "es",
    "et",
    "eu",
    "fi",
    "fr",
    "ga",
    "gl",
    "hr",
    "hu",
    "id",
    "is",
    "it",
    "lt",
    "lv",
    "nb",
    "nl",
    "pl",
    "pt",
    "ro",
    "sk",
    "sl",
    "sq",
    "sv",
    "sw",
    "tr",
    "uz",
    "vi",
    "zu",
    "be",
    "bg",
    "mk",
    "ru",
    "sr",
    "uk",
    "el",
]
"""Those whose names have to be told apart: most in Latin letters, some in Cyrillic, and Greek."""

DATE_LANGUAGES = [
    "ar",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "hi",
    "hu",
    "id",
    "it",
    "ja",
    "ko",
    "lt",
    "lv",
    "nb",
    "nl",
    "pl",
    "pt",
    "ro",
    "ru",
    "sk",
    "sl",
    "sv",
    "tr",
    "uk",
    "vi",
    "zh",
]
NAMES, DATES = 300, 20_000
"""Names of each language at most; written dates in all."""


def language_names() -> Rows:
    """Names of countries, languages, scripts and currencies, each with its language.

    A name that two of the languages share is left out. The parts hold different things: what is asked for in
    validation is not among what was trained on, in any language.
    """
    locale = _babel()
    named: dict[str, set[tuple[str, str]]] = {}
    for language in LANGUAGES:
        made = locale(language)
        for kind in ("territories", "languages", "scripts", "currencies"):
            for code, name in getattr(made, kind).items():
                named.setdefault(name, set()).add((language, f"{kind} {code}"))
    rows: dict[str, list[tuple[str, Row]]] = {language: [] for language in LANGUAGES}
    for name, places in sorted(named.items()):
        if len({language for language, _ in places}) == 1:
            language, thing = min(places)
            rows[language].append((thing, (name, language)))
    parts: dict[str, list[Row]] = {"train": [], "valid": [], "test": []}
    for language, found in rows.items():
        random.Random(language).shuffle(found)
        for thing, row in found[:NAMES]:
            parts[_part(thing)].append(row)
    return Rows(**parts, name="names in many languages (CLDR)")


def written_dates() -> Rows:
    """Dates as they are written in many languages, and the same as ISO dates; no date is in two parts."""
    _babel()
    from babel.dates import format_date

    draws = random.Random(0)
    first, days = datetime.date(1900, 1, 1), 73_049
    parts: dict[str, list[Row]] = {"train": [], "valid": [], "test": []}
    for _ in range(DATES):
        date = first + datetime.timedelta(draws.randrange(days))
        language, form = draws.choice(DATE_LANGUAGES), draws.choice(("medium", "long", "full"))
        parts[_part(date.isoformat())].append((format_date(date, form, language), date.isoformat()))
    return Rows(**parts, name="written dates (CLDR)")


def _part(thing: str) -> str:
    """One thing in ten is for validation, one for the test."""
    return {0: "valid", 1: "test"}.get(random.Random(thing).randrange(10), "train")


def _babel() -> Any:
    try:
        from babel import Locale
    except ModuleNotFoundError:
        raise InputError(
            "the data that come with the program are those of Babel: pip install 'gradproof[train]', "
            "or name a file"
        ) from None
    return Locale.parse
