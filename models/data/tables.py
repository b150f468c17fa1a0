"""Rows with named columns: CSV, TSV and JSONL files, folders of them, and data sets by name."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradproof.models.data.names import load_named
from gradproof.models.data.texts import find_parts, read_text
from gradproof.models.mistakes import InputError

ENDINGS = (".csv", ".tsv", ".jsonl")
Row = tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Rows of the columns asked for: to train on, to validate on, and (where there are any) to test on."""

    train: list[Row]
    valid: list[Row]
    test: list[Row]
    name: str


def read_rows(data: str, columns: Sequence[str], flags: Sequence[str], share: float) -> Rows:
    """The rows of a file, a folder or `datasets:NAME`, with the columns in the order given.

    A column is given by its name, or by its number from 1. Where all are numbers, the file has no line of
    names. The flag that gives a column is named in messages. Of one file, `share` of the rows, drawn at
    random but always the same, are for validation. Rows that lack a text are left out.
    """
    if data.startswith("datasets:"):
        loaded = load_named(data, columns)
        parts = {name: [tuple(row[c] for c in columns) for row in rows] for name, rows in loaded.items()}
    else:
        path = Path(data)
        files = find_parts(path, ENDINGS) if path.is_dir() else {"train": path}
        parts = {name: read_file(file, columns, flags) for name, file in files.items()}
    parts = {name: [row for row in rows if all(map(str.strip, row))] for name, rows in parts.items()}
    for name, rows in parts.items():
        if not rows:
            where = f" of its {name} part" if len(parts) > 1 else ""
            raise InputError(f"{data}: no row{where} has a text in each column; give one or more")
    if "valid" not in parts:
        parts |= divide(parts["train"], share, data)
    return Rows(parts["train"], parts["valid"], parts.get("test", []), data)


def divide(rows: Sequence[Row], share: float, name: str) -> dict[str, list[Row]]:
    """Rows in an order that is always the same, as those to train and those to validate on."""
    order = list(rows)
    random.Random(0).shuffle(order)
    cut = len(order) - max(1, round(len(order) * share))
    if cut < 1 or share == 0:
        raise InputError(
            f"{name}: {len(order)} rows leave nothing to train or nothing to validate on with --valid "
            f"{share:g}"
        )
    return {"train": order[:cut], "valid": order[cut:]}


def read_file(path: Path, columns: Sequence[str], flags: Sequence[str]) -> list[Row]:
    """The columns of one file. Raises InputError for a column that is missing, or a row that is too short."""
    if path.suffix not in ENDINGS:
        if not path.exists():
            raise InputError(
                f"{path}: there is no such file; give a CSV, TSV or JSONL file, or a folder of them"
            )
        raise InputError(f"{path}: rows are read from files that end in {', '.join(ENDINGS)}; name it so")
    text = read_text(path)
    if path.suffix == ".jsonl":
        return _read_json(path, text, columns, flags)
    return _read_separated(path, text, columns, flags)


def _read_separated(path: Path, text: str, columns: Sequence[str], flags: Sequence[str]) -> list[Row]:
    """CSV with quotes; TSV as it is, one row a line."""
    try:
        if path.suffix == ".tsv":
            cells = [line.split("\t") for line in text.split("\n")]
        else:
            csv.field_size_limit(max(csv.field_size_limit(), len(text)))
            cells = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as problem:
        raise InputError(f"{path} is no CSV file: {problem}") from None
    head, *rest = cells
    named = not all(c.isdecimal() for c in columns)
    places = [_place(path, head if named else (), c, f) for c, f in zip(columns, flags, strict=True)]
    rows, first = (rest, 2) if named else (cells, 1)
    made: list[Row] = []
    for number, row in enumerate(rows, first):
        if not any(map(str.strip, row)):
            continue
        if max(places) >= len(row):
            raise InputError(
                f"{path}, row {number}: found {len(row)} column{'s' * (len(row) != 1)}, expected at least "
                f"{max(places) + 1}; is the file separated by "
                f"{'tabs' if path.suffix == '.tsv' else 'commas'}?"
            )
        made.append(tuple(row[place] for place in places))
    return made


def _place(path: Path, head: Sequence[str], column: str, flag: str) -> int:
    """Where a column stands: by its name in the first line, else by its number."""
    names = [name.strip() for name in head]
    if column in names:
        return names.index(column)
    if not column.isdecimal():
        apart = "tabs" if path.suffix == ".tsv" else "commas"
        doubt = f"; is the file separated by {apart}?" if len(names) == 1 else ""
        raise _missing(
            path, column, names, f"{flag}, or all by number where there is no line of names{doubt}"
        )
    if int(column) == 0:
        raise InputError(f"{flag} 0: columns are counted from 1")
    return int(column) - 1


def _read_json(path: Path, text: str, columns: Sequence[str], flags: Sequence[str]) -> list[Row]:
    made: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):  # JSON may hold other ends of lines in its strings
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError as problem:
            raise InputError(f"{path}, line {number} is no JSON: {problem}") from None
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, line {number}: found {line.strip()[:40]}, expected an object with columns"
            )
        for column, flag in zip(columns, flags, strict=True):
            if column not in row:
                raise _missing(path, column, list(row), flag, f", line {number}")
            if isinstance(row[column], list | dict):
                found = json.dumps(row[column], ensure_ascii=False)[:40]
                raise InputError(
                    f"{path}, line {number}: the column {column} holds {found}, expected a text or a number"
                )
        made.append(tuple("" if row[c] is None else str(row[c]) for c in columns))
    return made


def _missing(path: Path, column: str, found: Sequence[str], flag: str, where: str = "") -> InputError:
    listed = ", ".join(map(repr, found[:12])) or "none"
    return InputError(
        f"{path}{where}: there is no column '{column}'; its columns are {listed}; name the right one "
        f"with {flag}"
    )
