"""Mistakes while an operation is being written: one sentence each, with what was found and what to do."""

from __future__ import annotations

import keyword
import re
import traceback
from collections.abc import Iterable

INDEX_IT = "an operation is written entry by entry, as in x[b, k]"
SYMPY = "SymPy's function is meant (sp.exp, sp.log, sp.sqrt, ...), on entries such as x[b]"


class MistakeError(TypeError, ValueError):
    """What was written is no operation; the message is one sentence for the person who wrote it.

    `explained`: the message names the operation already.
    """

    explained = False


_SIZES = "sizes are symbolic; size_of(AXIS) is the size of an axis"
_NUMBERS = f"a function of numbers was called on a symbol; {SYMPY}"
_SAID: tuple[tuple[type[Exception], str, str], ...] = (
    (TypeError, "loop of ufunc does not support", f"a NumPy function was called on a symbol; {SYMPY}"),
    (TypeError, "Cannot convert expression to float", _NUMBERS),
    (TypeError, "must be real number, not|must be Tensor, not|Cannot convert .* to int", _NUMBERS),
    (
        TypeError,
        "truth value of Relational",
        "an entry has no truth value while an operation is written (`if`, `and`, `max`, ... ask for one); "
        "write cases, sp.Piecewise((yes, x[b] > 0), (no, True)), conditions with & and |, and sp.Max",
    ),
    (
        TypeError,
        r"(unsupported operand type|not supported between).*'Array'",
        f"arithmetic on a whole tensor; {INDEX_IT} (x[()] for a single number)",
    ),
    (TypeError, "'Array' .* not support item assignment", "a tensor is defined by let, never changed"),
    (TypeError, "object of type 'Array' has no len", _SIZES),
    (AttributeError, "'Array' object has no attribute '(shape|size|ndim)'", _SIZES),
    (AttributeError, "'Array' object has no attribute", f"a tensor has no methods; {INDEX_IT}"),
    (AttributeError, "'Atom' object has no attribute", f"an entry has no methods; {SYMPY}"),
    (
        NameError,
        "name '(?P<name>.*)' is not defined",
        "{name} is not defined; an input is declared in the decorator ({name}=real(...)) and taken as an "
        "argument",
    ),
    (
        TypeError,
        r"Builder\.__call__\(\)",
        "let takes a name, a list of indices and a value, as in let('y', [b, k], x[b, k]**2)",
    ),
    (TypeError, r"Builder\.suppose\(\)", "let.suppose takes the two sides of an equation"),
    (
        TypeError,
        r"Builder\.repeat\(\)",
        "let.repeat takes a cell, an axis, and states=, scanned= and shared= by name",
    ),
    (
        TypeError,
        "'(Symbol|Dummy|Atom)' object is not iterable",
        "an entry is one number, nothing to run through; sum_over(x[b, k], k) sums over an index, and let "
        "takes its indices as a list",
    ),
    (RecursionError, "", "the expression is nested too deeply; give parts of it a name with let"),
)


def explain(problem: Exception, name: str, file: str) -> MistakeError | None:
    """The mistake that an exception in the function of an operation tells of, with its line.

    None if it is about something else. `file` is where the function stands.
    """
    if isinstance(problem, MistakeError) and problem.explained:
        return problem
    said = str(problem) if isinstance(problem, MistakeError) else _sentence(problem)
    if said is None:
        return None
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == file]
    made = MistakeError(f"{name}, line {lines[-1]}: {said}" if lines else f"{name}: {said}")
    made.explained = True
    return made


def _sentence(problem: Exception) -> str | None:
    for kind, pattern, sentence in _SAID:
        found = re.search(pattern, str(problem)) if isinstance(problem, kind) else None
        if found:
            return sentence.format(**found.groupdict()) if found.groupdict() else sentence
    return None


def check_name(name: object, what: str) -> str:
    """The name, if generated code can use it; raises MistakeError for one that is no identifier.

    >>> check_name("my y", "a tensor")
    Traceback (most recent call last):
    gradproof.symbolic.mistakes.MistakeError: a tensor is named by an identifier, such as h_2, found 'my y'
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise MistakeError(f"{what} is named by an identifier, such as h_2, found {name!r}")
    if keyword.iskeyword(name):
        raise MistakeError(
            f"{what} cannot be named {name!r}, a word of Python; write {name}_ or another name"
        )
    return name


def check_count(given: object, least: int, what: str) -> None:
    """Raise MistakeError for what is no integer from `least` upwards."""
    if not isinstance(given, int) or given < least:
        raise MistakeError(f"{what} is an integer, at least {least}, found {given!r}")


def listed(names: Iterable[object]) -> str:
    """Names in a sentence: `x, y and z`.

    >>> listed(["x", "y", "z"]), listed([])
    ('x, y and z', 'nothing')
    """
    given = [str(n) for n in names]
    return " and ".join([*([", ".join(given[:-1])] if len(given) > 1 else []), *given[-1:]]) or "nothing"
