"""Data sets by name, through the optional package `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradproof.models.mistakes import InputError

SPLITS = {"train": "train", "validation": "valid", "valid": "valid", "dev": "valid", "test": "test"}
"""What the splits are called there, and here."""


def load_named(data: str, columns: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The rows of `datasets:NAME` or `datasets:NAME:CONFIGURATION`, by part, with the columns asked for."""
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise InputError(f"{data} needs the package datasets: pip install 'gradproof[datasets]'") from None
    name, _, configuration = data.removeprefix("datasets:").partition(":")
    try:
        loaded: Any = load_dataset(name, configuration or None)
    except Exception as problem:  # its own kinds of error, those of its readers and of the network
        raise InputError(f"{data} cannot be loaded: {' '.join(str(problem).split())}") from None
    parts: dict[str, list[dict[str, str]]] = {}
    for split, rows in loaded.items():
        if split not in SPLITS:
            continue
        missing = [column for column in columns if column not in rows.column_names]
        if missing:
            raise InputError(f"{data} has no column {missing[0]}; it has {', '.join(rows.column_names)}")
        names = {c: getattr(rows.features[c], "names", None) for c in columns}
        parts[SPLITS[split]] = [{c: _label(names[c], row[c]) for c in columns} for row in rows]
    if "train" not in parts:
        raise InputError(f"{data} has no split to train on; it has {', '.join(loaded)}")
    return parts


def _label(names: list[str] | None, value: Any) -> str:
    """A value as text; a class by its name."""
    return str(value) if names is None else names[value]
