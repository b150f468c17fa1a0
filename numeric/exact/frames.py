"""Which frames of a running program are its user's: lines for messages, and what is caught there."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType

import numpy as np
import torch

import gradproof

_OUTSIDE = (
    str(Path(torch.__file__).parent),
    str(Path(np.__file__).parent),
    sysconfig.get_paths()["stdlib"] + "/",
    str(Path(__file__).resolve().parents[1]) + "/",
    "<",
)
_RUNNERS = {str(Path(__file__).with_name(name)) for name in ("programs.py", "numpy_programs.py")}
"""What calls the user's functions: above them stands who asked for the check."""
_FACE = Path(gradproof.__file__).resolve().parent


@lru_cache(maxsize=4096)
def is_the_users(filename: str) -> bool:
    """Whether a file is a program's own, not of the libraries below it."""
    if filename.startswith("<gradproof "):  # a kernel that was generated
        return True
    within = "site-packages" in filename and not filename.startswith(_OUTSIDE)
    return within or not (filename.startswith(_OUTSIDE) or str(Path(filename).resolve()).startswith(_OUTSIDE))


@lru_cache(maxsize=4096)
def _is_the_face(filename: str) -> bool:
    """Whether it is the command line, or what tests call: nothing above them belongs to the program."""
    return Path(filename).resolve().parent == _FACE


def _frames() -> Iterator[FrameType]:
    """The frames of the program's own that are running, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_the_face(frame.f_code.co_filename):
        if frame.f_code.co_filename in _RUNNERS:
            return
        if is_the_users(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def user_place() -> tuple[str, int]:
    """The innermost line that is the user's, and a number for the column and the calls that led there:
    outside of PyTorch, NumPy, the standard library and this package.
    """
    line, path = "autograd", list[tuple[str, int, int]]()
    for frame in _frames():
        code = frame.f_code
        if not path:
            line = f"{Path(code.co_filename).name}:{frame.f_lineno}"
        path.append((code.co_filename, frame.f_lineno, _column(code, frame.f_lasti)))
    return line, path[0][2] if len(path) == 1 else hash(tuple(path)) if path else 0


@lru_cache(maxsize=4096)
def _column(code: CodeType, instruction: int) -> int:
    position = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    return position[2] or 0


def user_line() -> str:
    """The innermost line that is the user's."""
    return user_place()[0]


def line_of(error: BaseException) -> str | None:
    """The innermost line of the user's in the traceback of an error."""
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if is_the_users(filename) and not _is_the_face(filename):
            lines.append(f"{Path(filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return lines[-1] if lines else None


def may_be_caught() -> bool:
    """Whether the program has a handler around what runs: a `try` of any kind, or a `with`."""
    return any(any(f.f_lasti in span for span in _guarded(f.f_code)) for f in _frames())


@lru_cache(maxsize=4096)
def _guarded(code: CodeType) -> tuple[range, ...]:
    """The instructions that have a handler, by the table that the interpreter looks them up in.

    Each row of it is four numbers, of six bits a byte: start, length, handler, depth (CPython,
    `InternalDocs/exception_handling.md`).
    """
    bits = iter(code.co_exceptiontable)
    numbers: list[int] = []
    for byte in bits:
        value = byte & 63
        while byte & 64:
            byte = next(bits)
            value = value << 6 | byte & 63
        numbers.append(value)
    return tuple(
        range(2 * start, 2 * (start + length))
        for start, length in zip(numbers[::4], numbers[1::4], strict=True)
    )
