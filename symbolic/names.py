"""How names of code are written in mathematics: `xhat` as x̂, `dx` as an adjoint, `x_dot` as a tangent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gradproof.symbolic.boxes import (
    COMMA,
    Accent,
    Box,
    Fence,
    Fraction,
    Ident,
    Indexed,
    Num,
    Raised,
    Row,
    Thin,
    Words,
    row,
)

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eps": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "lam": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ",
    "omega": "ω",
}  # fmt: skip

_ACCENTED = re.compile(r"([A-Za-z])(hat|bar|tilde)")
_NUMBERED = re.compile(r"([A-Za-z]+)(\d+)")
_TANGENT = re.compile(r"(.+)_dot(\d*)")
_BLOCK = re.compile(r"d(.+)_d(.+)")
_STEP: dict[str, Box] = {
    "t": Fence("(", Ident("t"), ")"),
    "before": Fence("(", Row((Ident("t"), Words("−"), Num("1"))), ")"),
    "after": Fence("(", Ident("t"), ")"),
    "total": Ident("tot", upright=True),
    "first": Ident("first", upright=True),
    "last": Ident("last", upright=True),
}


@dataclass(frozen=True)
class Head:
    """A name in parts: the letter or word, what stands above it on the right, and the name in code."""

    base: Box
    labels: tuple[Box, ...]
    derived: bool = False


def head(name: str, forward: frozenset[str] | None = None, hessian: bool = False) -> Head:
    """The parts of a tensor's name.

    `forward` has the names of the forward tensors; another name is read as an adjoint (`d` before it), a
    tangent (`_dot` after it), or a block of a Jacobian (`dy_dx`) or of a `hessian` (`dx_dw`). Without
    `forward` every name stands for itself.

    >>> head("dx", frozenset({"x"})).derived
    True
    """
    if forward is not None and name not in forward:
        tangent, block = _TANGENT.fullmatch(name), _BLOCK.fullmatch(name)
        if tangent is not None:
            inner = head(tangent[1], forward)
            return _dot(inner, int(tangent[2] or 1))
        if block is not None and {block[1], block[2]} <= forward:
            return Head(_block(block[1], block[2], forward, hessian), (), True)
        if name.startswith("d") and len(name) > 1:
            inner = head(name[1:], forward)
            base = row(Ident("d", upright=True), inner.base)
            flows = name.endswith(("_after", "_before"))
            return Head(Accent("arrow", base) if flows else base, inner.labels, True)
    return _plain(name, forward or frozenset())


def _dot(inner: Head, order: int) -> Head:
    """A tangent, or the derivative of some order along a direction."""
    if order <= 2:
        return Head(Accent("dot" if order == 1 else "ddot", inner.base), inner.labels, True)
    return Head(inner.base, (*inner.labels, Fence("(", Num(str(order)), ")")), True)


def _block(above: str, below: str, forward: frozenset[str], hessian: bool) -> Box:
    """A block of a Jacobian, or of the Hessian of a loss."""
    sign = Ident("∂", upright=True)

    def bare(name: str) -> Box:
        found = head(name, forward)
        return Indexed(name, found.base, (), found.labels)

    if hessian:
        over = row(Raised(sign, Num("2")), Ident("L"))
        return Fence("(", Fraction(over, row(sign, bare(above), Thin(), sign, bare(below))), ")")
    return Fence("(", Fraction(row(sign, bare(above)), row(sign, bare(below))), ")")


def _plain(name: str, known: frozenset[str] = frozenset()) -> Head:
    """A name that is neither adjoint nor tangent; `y_mean` is the mean of `y` where `y` is known."""
    parts = [part for part in name.split("_") if part] or [name]
    front, rest = _owner(parts, known)
    stem = rest.pop(0)
    numbered = _NUMBERED.fullmatch(stem)
    labels: list[Box] = []
    if numbered and letter(numbered[1]) is not None:
        stem = numbered[1]
        labels.append(Fence("(", Num(numbered[2]), ")"))
    if letter(stem) is None and any(part not in _STEP for part in rest):
        plain = [stem, *(part for part in rest if part not in _STEP)]
        front, stem = [*front, *plain[:-1]], plain[-1]
        rest = [part for part in rest if part in _STEP]
    base = letter(stem) or Ident(stem, upright=True)
    labels.extend(_STEP.get(part, Ident(part, upright=True)) for part in rest)
    if front:
        labels.insert(0, Ident(" ".join(front), upright=True))
    return Head(base, tuple(labels))


def _owner(parts: list[str], known: frozenset[str]) -> tuple[list[str], list[str]]:
    """A name split behind the longest known name that it starts with."""
    for cut in range(len(parts) - 1, 0, -1):
        if "_".join(parts[:cut]) in known and not any(part in _STEP for part in parts[cut:]):
            return parts[:cut], parts[cut:]
    return [], parts


def letter(stem: str) -> Box | None:
    """A single letter, Greek or with an accent; None for a word."""
    if len(stem) == 1:
        return Ident(stem)
    if stem in GREEK:
        return Ident(GREEK[stem])
    accented = _ACCENTED.fullmatch(stem)
    if accented and accented[2] in ("hat", "bar", "tilde"):
        marks = {"hat": "hat", "bar": "bar", "tilde": "tilde"}
        return Accent(marks[accented[2]], Ident(accented[1]))  # pyright: ignore[reportArgumentType]
    return None


def scalar_name(name: str) -> Box:
    """The name of a hyper-parameter: a letter, or a word as it is in code."""
    found = letter(name)
    if found is None:
        return Ident(name.replace("_", " "), upright=True, code=name)
    return Ident(found.text, code=name) if isinstance(found, Ident) else found


def index_stem(name: str) -> tuple[str, int]:
    """The letter of an index and its number of primes.

    >>> index_stem("k2")
    ('k', 2)
    """
    numbered = _NUMBERED.fullmatch(name)
    if numbered is not None:
        return numbered[1], int(numbered[2])
    return name.rstrip("_"), 0


def index_box(stem: str, primes: int) -> Box:
    """An index as it is written: k, k', k''."""
    base = GREEK.get(stem, stem)
    return Ident(base + "′" * primes, upright=len(base) > 1, code=base + "'" * primes)


def join(parts: Iterable[Box]) -> Box:
    """Indices or labels in a row: letters side by side, anything longer between commas."""
    given = tuple(parts)
    letters = all(isinstance(p, Ident) and not p.upright for p in given)
    made: list[Box] = []
    for place, part in enumerate(given):
        if place and not letters:
            made.append(COMMA)
        made.append(part)
    return row(*made)
