"""An independent judge of claims over arrays: evaluated with 50 digits, differentiated by differences.

It shares the syntax of the formulas with what it judges, and nothing else: arrays are NumPy's, numbers are
mpmath's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import mpmath as mp
import numpy as np

from gradproof.symbolic.syntax import Syntax, parse_statements

DIGITS = 50
SIZES = {"b": 3, "m": 2, "n": 3, "k": 4, "d": 3, "c": 4, "o": 2}


def _vector(f: Callable[..., Any]) -> Callable[..., Any]:
    return np.frompyfunc(f, 1, 1)


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "exp": _vector(mp.exp),
    "log": _vector(mp.log),
    "sin": _vector(mp.sin),
    "cos": _vector(mp.cos),
    "tanh": _vector(mp.tanh),
    "sqrt": _vector(mp.sqrt),
    "erf": _vector(mp.erf),
    "sigmoid": _vector(lambda x: 1 / (1 + mp.exp(-x))),
    "softplus": _vector(lambda x: mp.log(1 + mp.exp(x))),
    "abs": _vector(abs),
    "relu": _vector(lambda x: max(x, mp.mpf(0))),
    "sign": _vector(mp.sign),
    "square": _vector(lambda x: x * x),
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "@": lambda a, b: np.matmul(a, b) if np.ndim(a) * np.ndim(b) > 1 else np.dot(a, b),
}
_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def _matrix(a: Any) -> Any:
    return mp.matrix(a.tolist())


def _inverse(a: Any) -> Any:
    made = _matrix(a) ** -1
    return np.array([[made[r, c] for c in range(len(a))] for r in range(len(a))], dtype=object)


class Oracle:
    """Values of formulas at arrays; `indices` says over which axis a named index runs."""

    def __init__(self, arrays: Mapping[str, Any], indices: Mapping[str, str]) -> None:
        self.names: dict[str, Any] = dict(arrays)
        self.indices = indices

    def value(self, text: str, free: str = "") -> Any:
        """The value of a text, over its free indices in that order."""
        *before, last = parse_statements(text)
        for statement in before:
            self.names[statement.name] = self.over(statement.body, " ".join(statement.indices))
        return self.over(last.body, free or " ".join(last.indices))

    def over(self, body: Syntax, free: str) -> Any:
        names = free.split()
        if not names:
            return self.read(body)
        shape = [SIZES[self.indices[n]] for n in names]
        rows = [self.at(body, dict(zip(names, place, strict=True))) for place in np.ndindex(*shape)]
        inner = np.shape(rows[0])
        made = np.empty((len(rows), *inner), dtype=object)
        for n, row in enumerate(rows):
            made[n] = row
        return made.reshape((*shape, *inner))

    def at(self, body: Syntax, place: Mapping[str, int]) -> Any:
        before = dict(self.names)
        self.names |= place
        made = self.read(body)
        self.names = before
        return made

    def read(self, node: Syntax) -> Any:
        return getattr(self, f"read_{node.kind.rstrip('_')}")(node)

    def read_number(self, node: Syntax) -> Any:
        return mp.mpf(node.text)

    def read_name(self, node: Syntax) -> Any:
        if node.text == "pi":
            return +mp.pi
        return self.names[node.text] if node.text in self.names else mp.mpf(SIZES[node.text])

    def read_sign(self, node: Syntax) -> Any:
        return -self.read(node.parts[0]) if node.text == "-" else self.read(node.parts[0])

    def read_chain(self, node: Syntax) -> Any:
        result = self.read(node.parts[0])
        for sign, part in zip(node.text.split(), node.parts[1:], strict=True):
            result = _ARITHMETIC[sign](result, self.read(part))
        return result

    def read_pow(self, node: Syntax) -> Any:
        base, exponent = map(self.read, node.parts)
        whole = int(exponent) if exponent == int(exponent) else exponent
        return base**whole

    def read_compare(self, node: Syntax) -> Any:
        a, b = map(self.read, node.parts)
        return np.where(_RELATIONS[node.text](a, b), mp.mpf(1), mp.mpf(0))[()]

    def read_attribute(self, node: Syntax) -> Any:
        return np.swapaxes(self.read(node.parts[0]), -1, -2) if node.text in ("T", "mT") else None

    def read_subscript(self, node: Syntax) -> Any:
        base, *subs = node.parts
        places: list[Any] = []
        for sub in subs:
            if sub.kind == "slice":
                places.append(slice(None))
            elif sub.kind == "none":
                places.append(None)
            else:
                found = self.read(sub)
                places.append(found.astype(int) if isinstance(found, np.ndarray) else int(found))
        return self.read(base)[tuple(places)]

    def read_call(self, node: Syntax) -> Any:
        name, parts = node.text, [p for p in node.parts if p.kind != "keyword"]
        keywords = {p.text: p.parts[0] for p in node.parts if p.kind == "keyword"}
        if name in _ELEMENTWISE:
            return _ELEMENTWISE[name](self.read(parts[0]))
        return getattr(self, f"call_{name}")(parts, keywords)

    # --- functions

    def reduced(self, parts: list[Syntax], keywords: Mapping[str, Syntax], over: Callable[..., Any]) -> Any:
        names = [p.text for p in parts[1:] if p.kind == "name"]
        if names:
            spread = product(*(range(SIZES[self.indices[n]]) for n in names))
            return over(
                np.array([self.at(parts[0], dict(zip(names, s, strict=True))) for s in spread], dtype=object),
                0,
            )
        x = self.read(parts[0])
        axis = int(self.read(keywords["axis"])) if "axis" in keywords else None
        keep = "keepdims" in keywords
        if axis is None:
            return over(np.asarray(x, dtype=object).reshape(-1), 0)
        made = over(x, axis)
        return np.expand_dims(made, axis) if keep else made

    def call_sum(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        return self.reduced(parts, keywords, lambda x, axis: x.sum(axis=axis))

    def call_mean(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        return self.reduced(parts, keywords, lambda x, axis: x.sum(axis=axis) / x.shape[axis])

    def call_var(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        def var(x: Any, axis: int) -> Any:
            away = x - (
                x.sum(axis=axis) / x.shape[axis]
                if x.ndim == 1
                else np.expand_dims(x.sum(axis=axis) / x.shape[axis], axis)
            )
            return (away * away).sum(axis=axis) / x.shape[axis]

        return self.reduced(parts, keywords, var)

    def call_logsumexp(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        exp = _ELEMENTWISE["exp"]
        return self.reduced(parts, keywords, lambda x, a: _ELEMENTWISE["log"](exp(x).sum(axis=a)))

    def call_norm(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        return self.reduced(parts, keywords, lambda x, a: _ELEMENTWISE["sqrt"]((x * x).sum(axis=a)))

    def call_max(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        return self.reduced(parts, keywords, lambda x, a: x.max(axis=a))

    def call_softmax(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        axis = int(self.read(keywords["axis"])) if "axis" in keywords else -1
        e = _ELEMENTWISE["exp"](self.read(parts[0]))
        return e / np.expand_dims(e.sum(axis=axis), axis)

    def call_log_softmax(self, parts: list[Syntax], keywords: Mapping[str, Syntax]) -> Any:
        return _ELEMENTWISE["log"](self.call_softmax(parts, keywords))

    def call_cumsum(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return np.cumsum(self.read(parts[0]), axis=-1)

    def call_revcumsum(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return np.cumsum(self.read(parts[0])[..., ::-1], axis=-1)[..., ::-1]

    def call_inv(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return _inverse(self.read(parts[0]))

    def call_det(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return mp.det(_matrix(self.read(parts[0])))

    def call_logdet(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return mp.log(mp.det(_matrix(self.read(parts[0]))))

    def call_solve(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return _inverse(self.read(parts[0])) @ self.read(parts[1])

    def call_trace(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return np.trace(self.read(parts[0]))

    def call_diag(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        x = self.read(parts[0])
        if x.ndim == 2:
            return np.diagonal(x)
        made = np.full((len(x), len(x)), mp.mpf(0), dtype=object)
        for n, v in enumerate(x):
            made[n, n] = v
        return made

    def call_eye(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return self.call_diag([Syntax("ones", parts[0].text)], {})

    def read_ones(self, node: Syntax) -> Any:
        return np.array([mp.mpf(1)] * SIZES[node.text], dtype=object)

    def call_outer(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return np.multiply.outer(self.read(parts[0]), self.read(parts[1]))

    def call_dot(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return np.dot(self.read(parts[0]), self.read(parts[1]))

    def call_delta(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return mp.mpf(int(self.read(parts[0]) == self.read(parts[1])))

    def call_einsum(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        before, _arrow, after = parts[0].text.partition("->")
        groups, operands = before.split(","), [self.read(p) for p in parts[1:]]
        letters = sorted(set("".join(groups)))
        size = {c: x.shape[n] for g, x in zip(groups, operands, strict=True) for n, c in enumerate(g)}
        made = np.full([size[c] for c in after], mp.mpf(0), dtype=object)
        for place in product(*(range(size[c]) for c in letters)):
            at = dict(zip(letters, place, strict=True))
            term = mp.mpf(1)
            for g, x in zip(groups, operands, strict=True):
                term *= x[tuple(at[c] for c in g)]
            made[tuple(at[c] for c in after)] += term
        return made[()]

    def call_one_hot(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        t = self.read(parts[0])
        return np.array([[mp.mpf(int(v == c)) for c in range(SIZES[parts[1].text])] for v in t], dtype=object)

    def call_where(self, parts: list[Syntax], _: Mapping[str, Syntax]) -> Any:
        return np.where(self.read(parts[0]) == 1, *map(self.read, parts[1:]))[()]


def drawn(
    axes: Mapping[str, tuple[str, ...]], domain: Mapping[str, str], chance: random.Random
) -> dict[str, Any]:
    """Random arrays of what is declared; those over one square matrix are well conditioned, det > 0."""
    made: dict[str, Any] = {}
    for name, over in axes.items():
        shape = [SIZES[a] for a in over]
        word = domain.get(name, "real")
        if word == "index":
            made[name] = np.array(
                [chance.randrange(SIZES["c"]) for _ in range(int(np.prod(shape)))], dtype=int
            ).reshape(shape)
            continue
        low = mp.mpf("0.1") if word == ">0" else mp.mpf(-1)
        entries = [low + (2 - low) * mp.mpf(chance.random()) for _ in range(int(np.prod(shape, dtype=int)))]
        x = np.array(entries, dtype=object).reshape(shape)
        if len(over) == 2 and over[0] == over[1]:
            for n in range(shape[0]):
                x[n, n] += 4
            if word in ("symmetric", "positive definite"):
                x = (x + x.T) / 2
        made[name] = x if shape else x[()]
    for name, word in domain.items():
        if name not in made:
            made[name] = mp.mpf(chance.random()) + (mp.mpf("0.1") if word == ">0" else 0)
    return made


def derivative(f: Callable[[Any], Any], x: Any) -> Any:
    """All partial derivatives by central differences: the axes of `f(x)`, then those of `x`."""
    step = mp.mpf(10) ** -15
    x = np.asarray(x, dtype=object)
    columns: list[Any] = []
    for place in np.ndindex(*x.shape):
        sides: list[Any] = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] = moved[place] + sign * step
            sides.append(np.asarray(f(moved if x.shape else moved[()]), dtype=object))
        columns.append(np.asarray((sides[0] - sides[1]) / (2 * step), dtype=object))
    stacked = np.stack(columns, axis=-1) if columns else np.zeros((0,))
    return stacked.reshape((*columns[0].shape, *x.shape))


def holds(claim: Any, free: Mapping[str, str], indices: Mapping[str, str], seed: int = 0) -> bool:
    """Whether a claim holds at random arrays, up to 10^-20."""
    with mp.workdps(DIGITS):
        chance = random.Random(seed)
        arrays = drawn(claim.axes, claim.domain, chance)
        oracle = Oracle(arrays, indices)
        value = oracle.value(claim.function, free.get("function", ""))
        if claim.kind == "identity":
            true = value
        else:
            by = claim.wrt[0].partition("[")[0]
            extra = dict(arrays)

            def function(x: Any, name: str = by) -> Any:
                return Oracle({**extra, name: x}, indices).value(claim.function, free.get("function", ""))

            true = derivative(function, arrays[by])
            if claim.kind == "vjp":
                g = _like(value, chance)
                oracle.names[claim.cotangent or "g"] = g
                rank = np.ndim(value)
                true = np.tensordot(g, true, axes=rank) if rank else g * true
            elif claim.kind == "jvp":
                v = _like(arrays[by], chance)
                oracle.names[claim.cotangent or f"{by}_dot"] = v
                true = np.tensordot(true, v, axes=np.ndim(v)) if np.ndim(v) else true * v
            elif claim.kind == "hessian":
                true = derivative(lambda x: derivative(function, x), arrays[by])
        try:
            claimed = np.asarray(oracle.value(claim.claim, free.get("claim", "")), dtype=object)
        except ValueError:  # shapes that do not meet
            return False
        true = np.asarray(true, dtype=object)
        if claimed.shape not in (true.shape, ()):
            return False
        bound = mp.mpf(10) ** (-8 if claim.kind == "hessian" else -20)
        return all(abs(a) < bound for a in np.ravel(true - claimed))


def _like(value: Any, chance: random.Random) -> Any:
    shape = np.shape(value)
    made = np.array([mp.mpf(chance.random()) for _ in range(int(np.prod(shape, dtype=int)))], dtype=object)
    return made.reshape(shape) if shape else made[0]
