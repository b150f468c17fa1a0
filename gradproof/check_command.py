"""`gradproof check`: finds what is to be checked in a file of the user, checks it, and prints the answer."""

from __future__ import annotations

import contextlib
import importlib.util
import json as json_text
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from gradproof.numeric.checking.results import CheckResult, PairVerdict
    from gradproof.symbolic.verdict import Ground

COLOURS = {"proved": "green", "refuted": "red", "undecided": "yellow"}
WIDTH = 120
"""Columns where the output is no terminal."""


class CommandError(ValueError):
    """What was asked for cannot be checked; the message says why and what to do."""


def check_file(
    program: str,
    inputs: str | None = None,
    *,
    order: int = 1,
    spec: str | None = None,
    wrt: Sequence[str] | None = None,
    seed: int | None = None,
    accuracy: bool = False,
    reference: str | None = None,
    declared: str | None = None,
) -> CheckResult:
    """Check `FILE.py:NAME` at the inputs of another `FILE.py:NAME`, or of a specification.

    `reference` and `declared` name functions in the same way; a bare name is in the file of the program.

    Whatever the files print goes to standard error. Raises CommandError with one sentence for a file or a
    name that is not there, an error in the file (with its line), and what `gradproof.check` cannot take.
    """
    from gradproof.numeric.checking.checks import check
    from gradproof.numeric.checking.specification import SpecificationError
    from gradproof.numeric.checking.targets import TargetError

    with contextlib.redirect_stdout(sys.stderr):
        path, fn = find_program(program)
        given = () if inputs is None else find_inputs(inputs, path)
        if not given and spec is None:
            raise CommandError(_without_inputs(program, path, fn))
        try:
            return check(
                fn, *given, wrt=wrt or None, order=order, spec=spec, seed=seed, accuracy=accuracy,
                reference=find_function(reference, path, "--reference"),
                declared=find_function(declared, path, "--declared"),
            )  # fmt: skip
        except (TargetError, SpecificationError) as problem:
            raise CommandError(str(problem)) from problem


# What is checked


def find_program(text: str) -> tuple[Path, Any]:
    """The file and the program of `FILE.py:NAME`; for a pair of NumPy functions also `FILE.py:NAME,NAME`."""
    path, names = _split(text)
    module = load(path)
    parts = [_find(module, path, name) for name in names.split(",")]
    if len(parts) > 1:
        return path, tuple(parts)
    (found,) = parts
    if isinstance(found, type) and hasattr(found, "named_parameters"):
        try:
            return path, found()
        except Exception as error:  # whatever the user's class raises
            raise CommandError(
                f"{names} cannot be made without arguments ({_sentence(error)}); name a module that is made: "
                f"`layer = {names}(...)`, and {path}:layer"
            ) from error
    return path, found


def find_inputs(text: str, beside: Path) -> tuple[Any, ...]:
    """Example inputs: a tuple, one tensor, or a callable that makes them. A bare NAME is in the same file."""
    path, name = _split(text) if ":" in text else (beside, text)
    found = _find(load(path), path, name)
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def find_function(text: str | None, beside: Path, option: str) -> Any:
    """The function that an option names, None without it. A bare NAME is in the file of the program."""
    if text is None:
        return None
    path, name = _split(text) if ":" in text else (beside, text)
    found = _find(load(path), path, name)
    if not callable(found):
        raise CommandError(f"{option} {text}: this is a {type(found).__name__}, not a function")
    return found


def _split(text: str) -> tuple[Path, str]:
    file, colon, name = text.rpartition(":")
    if not colon or not file or not name.strip():
        raise CommandError(f"'{text}' does not read as FILE.py:NAME")
    return Path(file), name.strip()


_loaded: dict[Path, ModuleType] = {}


def load(path: Path) -> ModuleType:
    """Run a file as a module, once; as with `python FILE.py`, its folder is searched for what it imports."""
    key = path.resolve()
    if key in _loaded:
        return _loaded[key]
    if not path.is_file():
        raise CommandError(f"{path}: there is no such file")
    name = f"_checked_{key.stem}"  # none that the file, or another, imports
    spec = importlib.util.spec_from_file_location(name, key)
    if spec is None or spec.loader is None:
        raise CommandError(f"{path}: this is no Python file")
    if str(key.parent) not in sys.path:
        sys.path.insert(0, str(key.parent))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise CommandError(
            f'{path}: the file exits when it is imported; put that under `if __name__ == "__main__":`'
        ) from error
    except SyntaxError as error:
        line = f"{Path(error.filename or path).name}:{error.lineno}"
        raise CommandError(f"{line}: SyntaxError: {error.msg}") from error
    except Exception as error:  # whatever the user's file raises
        from gradproof.numeric.exact.frames import line_of

        raise CommandError(f"{line_of(error) or path}: {_sentence(error)}") from error
    _loaded[key] = module
    return module


def _sentence(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + said[0] if said else ''}"


def _find(module: ModuleType, path: Path, dotted: str) -> Any:
    found: Any = module
    for name in dotted.strip().split("."):
        if not hasattr(found, name):
            own = [n for n in vars(found) if not n.startswith("_")] if hasattr(found, "__dict__") else []
            near = get_close_matches(name, own, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise CommandError(f"{path} has no '{dotted}'{hint}")
        found = getattr(found, name)
    return found


def _without_inputs(program: str, path: Path, fn: Any) -> str:
    from gradproof.numeric.checking.targets import input_names

    names = input_names(fn)
    axes = ", ".join(f"{name}: batch d" for name in names) or "x: batch d"
    return (
        f"{program} has no inputs yet: give --inputs {path}:NAME, where NAME is a tuple of example tensors "
        f"or a function that returns one, or name the axes of each input, as in --spec '{axes}'"
    )


# What is printed


def print_json(result: CheckResult) -> None:
    """The answer as one document."""
    print(json_text.dumps({"name": result.name, **result.to_dict()}, ensure_ascii=False, indent=2))


def print_result(result: CheckResult, console: Console) -> None:
    """The answer for people: each pair, then what was varied, then what was not accepted."""
    if not console.is_terminal:
        console.width = WIDTH
    colour = COLOURS[result.verdict]
    console.print(f"[bold]{escape(result.name)}[/bold]: [bold {colour}]{result.verdict}[/]")
    for pair in result.pairs:
        _print_pair(pair, console)
    console.print()
    table = _grid()
    for row in _varied(result):
        table.add_row(*map(escape, row))
    console.print(table)


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _print_pair(pair: PairVerdict, console: Console) -> None:
    console.print()
    colour = COLOURS[pair.verdict]
    console.print(f"  {escape(f'd{pair.output}/d{pair.wrt}')}  [{colour}]{pair.verdict}[/]")
    table = _grid()
    for label, text in _pair_rows(pair):
        table.add_row(f"    {label}", escape(text))
    if table.row_count:
        console.print(table)


def _pair_rows(pair: PairVerdict) -> Iterator[tuple[str, str]]:
    if pair.diagnosis:
        yield "diagnosis", pair.diagnosis
    if pair.witness is not None:
        labels = ("at", *[""] * len(pair.witness.point))
        for label, (name, value) in zip(labels, pair.witness.point.items(), strict=False):
            yield label, f"{name} = {value}"
        yield "true gradient", pair.witness.left
        yield "claimed gradient", pair.witness.right
    if pair.reason:
        yield "reason", pair.reason
    if pair.ground is not None:
        yield from _ground_rows(pair.ground)
    for note in pair.notes:
        yield "note", note


def _ground_rows(ground: Ground) -> Iterator[tuple[str, str]]:
    yield "ground", ground.kind
    if ground.sizes:
        yield "sizes", "; ".join(ground.sizes)
    for label, texts in (("regions", ground.regions), ("assumes", ground.assumes)):
        for n, text in enumerate(texts):
            yield label if n == 0 else "", text
    if ground.bound is not None:
        yield "bound", f"wrong with probability at most 2^{ground.bound.log2} ({ground.bound.kind})"


def _varied(result: CheckResult) -> Iterator[tuple[str, str]]:
    varied = result.varied
    if accepted := varied.get("accepted"):
        yield "varied", ", ".join(accepted)
    if kinks := varied.get("kinks"):
        yield "kinks", ", ".join(kinks)
    for label in ("not accepted", "not decided"):
        for n, entry in enumerate(varied.get(label, ())):
            yield label if n == 0 else "", f"{entry['variation']}: {entry['because']}"
    if left_out := varied.get("left out"):
        yield "left out", ", ".join(left_out)
    if result.accuracy is not None:
        for n, line in enumerate(str(result.accuracy).splitlines()):
            yield "accuracy" if n == 0 else "", line
    for note in result.notes:
        yield "note", note
    yield "seed", str(result.seed)
    yield "time", f"{result.seconds:.2f} s"
