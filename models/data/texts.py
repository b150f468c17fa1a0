"""Texts for language modelling: a file, a folder, a data set by name, or Python's documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gradproof.models.data.names import load_named
from gradproof.models.mistakes import InputError

PARTS = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}
"""The parts of a data set, and what their files are called."""


@dataclass(frozen=True)
class Corpus:
    """The texts to train on, to validate on, and (where there is one) to test on."""

    train: str
    valid: str
    test: str | None
    name: str


def read_corpus(data: str, share: float, by_character: bool = True) -> Corpus:
    """The corpus of a file, a folder in the layout of the Penn Treebank, `datasets:NAME`, or the default.

    Of one text, the last `share` is for validation. A folder may hold two files of a part, one of them with
    `char` in its name: that is read `by_character`, else the other. Raises InputError for what cannot be
    read.
    """
    if not data:
        return divide(documentation(), share, "Python's documentation")
    if data.startswith("datasets:"):
        parts = {
            name: "\n".join(row["text"] for row in rows) for name, rows in load_named(data, ["text"]).items()
        }
        return _corpus(parts, share, data)
    path = Path(data)
    if path.is_dir():
        files = find_parts(path, by_character=by_character)
        return _corpus({name: _read(file) for name, file in files.items()}, share, data)
    return divide(_read(path), share, data)


def divide(text: str, share: float, name: str) -> Corpus:
    """The head of a text to train on, and its tail, `share` of it, to validate on."""
    cut = int(len(text) * (1 - share))
    if not 0 < cut < len(text):
        raise InputError(
            f"{name}: {len(text)} characters leave nothing to train or nothing to validate on with "
            f"--valid {share:g}"
        )
    return Corpus(text[:cut], text[cut:], None, name)


def _corpus(parts: dict[str, str], share: float, name: str) -> Corpus:
    if "valid" not in parts:
        made = divide(parts["train"], share, name)
        return Corpus(made.train, made.valid, parts.get("test"), name)
    return Corpus(parts["train"], parts["valid"], parts.get("test"), name)


def documentation() -> str:
    """The documentation of the language that Python carries with it, in the order of its topics."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def _read(path: Path) -> str:
    text = read_text(path)
    return unspaced(text) if "char" in _words(path) else text


def unspaced(text: str) -> str:
    r"""A text as it reads, of one in which spaces set characters apart and `_` is a space.

    The Penn Treebank is given so for models of characters (Mikolov et al. 2012). Another text stays as it is.

    >>> unspaced(" a _ c a t \n N \n"), unspaced("a cat")
    ('a cat\nN\n', 'a cat')
    """
    if any(len(field) > 1 for field in text.split()):
        return text
    return re.sub(r"[^\S\n]", "", text).replace("_", " ")


def read_text(path: Path) -> str:
    """A text file, which has to be UTF-8 and to hold something."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(
            f"{path} is no text: its byte {problem.start} is not UTF-8; give a text file, saved as UTF-8"
        ) from None
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file; give a text file, a folder of train, valid and test files, "
            f"or datasets:NAME"
        ) from None
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror or problem}") from None
    if not text.strip():
        raise InputError(f"{path} is empty; a text to learn from was expected")
    if "\0" in text:
        raise InputError(f"{path} is no text: it holds the byte 0; give a text file, saved as UTF-8")
    return text


def find_parts(
    folder: Path,
    endings: tuple[str, ...] = (".txt", ".tokens", ".raw", ""),
    by_character: bool | None = None,
) -> dict[str, Path]:
    """The files of a folder whose names hold `train`, `valid` (or `val`, `dev`) and `test`.

    Of two for a part, those with (`by_character`) or without `char` in their names.

    Raises InputError where there is none to train on, or two for the same part.
    """
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix in endings]
    found: dict[str, Path] = {}
    for part, names in PARTS.items():
        fitting = [p for p in files if any(name in _words(p) for name in names)]
        if len(fitting) > 1 and by_character is not None:
            fitting = [p for p in fitting if ("char" in _words(p)) == by_character] or fitting
        if len(fitting) > 1:
            listed = ", ".join(p.name for p in fitting)
            raise InputError(f"{folder} holds {listed}: which of them is {part}? Leave one, or give a file")
        if fitting:
            found[part] = fitting[0]
    if "train" not in found:
        listed = ", ".join(p.name for p in files) or "no file that fits"
        raise InputError(
            f"{folder} holds {listed}; expected are train{endings[0]}, valid{endings[0]} and test{endings[0]}"
        )
    return found


def _words(path: Path) -> list[str]:
    return path.name.lower().replace("-", ".").replace("_", ".").split(".")
