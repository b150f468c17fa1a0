"""Random formulas with kinks and gaps, rewritings that nearly hold, and strict values by mpmath."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import mpmath

TINY = mpmath.mpf(10) ** -40


class Gap(Exception):  # noqa: N818
    """There is no value."""


Tree = tuple[Any, ...]
"""`("x",)`, `("number", value)`, or the name of an operation and its arguments."""


def grow(chance: random.Random, depth: int) -> Tree:
    """A random formula in x and y."""
    if depth == 0 or chance.random() < 0.15:
        return chance.choice([("x",), ("x",), ("y",), ("number", chance.randint(-2, 3))])
    kind = chance.choice(
        ["add", "sub", "mul", "mul", "div", "abs", "max", "exp", "sqrt", "log", "square", "relu"]
    )
    if kind in ("add", "sub", "mul", "div", "max"):
        return (kind, grow(chance, depth - 1), grow(chance, depth - 1))
    return (kind, grow(chance, depth - 1))


def rewrite(tree: Tree, chance: random.Random) -> Tree:
    """The formula written in another way, equal to it wherever both have a value, with luck everywhere."""
    if tree[0] in ("x", "y", "number"):
        made = tree
    else:
        made = (tree[0], *(rewrite(part, chance) for part in tree[1:]))
    if chance.random() > 0.25:
        return made
    if made[0] in ("add", "mul", "max"):
        return (made[0], made[2], made[1])
    if made[0] == "abs":
        return chance.choice(
            [("sqrt", ("square", made[1])), ("max", made[1], ("mul", ("number", -1), made[1]))]
        )
    if made[0] == "relu":
        return ("div", ("add", made[1], ("abs", made[1])), ("number", 2))
    if made[0] == "log":
        return ("div", ("log", ("square", made[1])), ("number", 2))
    if made[0] == "sqrt":
        return ("exp", ("div", ("log", made[1]), ("number", 2)))
    if made[0] == "square":
        return ("mul", made[1], made[1])
    return chance.choice(
        [
            ("div", ("mul", made, ("y",)), ("y",)),
            ("div", ("square", made), made),
            ("exp", ("log", made)),
            made,
        ]
    )


def slope(tree: Tree) -> Tree:
    """The derivative by x as a student writes it, without a thought for corners."""
    kind, *parts = tree
    if kind in ("x", "y", "number"):
        return ("number", int(kind == "x"))
    inner = [slope(part) for part in parts]
    a, da = parts[0], inner[0]
    if kind in ("add", "sub"):
        return (kind, *inner)
    if kind == "mul":
        return ("add", ("mul", da, parts[1]), ("mul", a, inner[1]))
    if kind == "div":
        above = ("sub", ("mul", da, parts[1]), ("mul", a, inner[1]))
        return ("div", above, ("square", parts[1]))
    outer = {
        "abs": ("div", a, ("abs", a)),
        "exp": ("exp", a),
        "sqrt": ("div", ("number", 1), ("mul", ("number", 2), ("sqrt", a))),
        "log": ("div", ("number", 1), a),
        "square": ("mul", ("number", 2), a),
        "relu": ("step", a),
    }
    if kind == "max":
        return ("choose", a, parts[1], da, inner[1])
    return ("mul", da, outer[kind])


def text(tree: Tree) -> str:
    """The formula as it is typed."""
    kind, *parts = tree
    if kind in ("x", "y"):
        return kind
    if kind == "number":
        return f"({parts[0]})"
    shown = [text(part) for part in parts]
    forms = {
        "add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})",
        "abs": "Abs({0})", "max": "Max({0}, {1})", "exp": "exp({0})", "sqrt": "sqrt({0})", "log": "log({0})",
        "square": "({0})**2", "relu": "relu({0})", "step": "Heaviside({0}, 0)",
        "choose": "Piecewise(({2}, {0} > {1}), ({3}, True))",
    }  # fmt: skip
    return forms[kind].format(*shown)


def value(tree: Tree, at: dict[str, Any]) -> Any:
    """The value in mpmath; raises Gap where there is none."""
    kind, *parts = tree
    if kind in ("x", "y"):
        return at[kind]
    if kind == "number":
        return mpmath.mpf(parts[0])
    if kind == "choose":
        first, second = value(parts[0], at), value(parts[1], at)
        return value(parts[2] if _sign(first - second) > 0 else parts[3], at)
    values = [value(part, at) for part in parts]
    a = values[0]
    if kind == "div" and not _sign(values[1]):
        raise Gap
    if kind in ("sqrt", "log") and (_sign(a) < 0 or (kind == "log" and not _sign(a))):
        raise Gap
    if kind == "exp" and abs(a) > 10**4:
        raise OverflowError
    forms = {
        "add": lambda: a + values[1], "sub": lambda: a - values[1], "mul": lambda: a * values[1],
        "div": lambda: a / values[1], "abs": lambda: abs(a), "max": lambda: max(a, values[1]),
        "exp": lambda: mpmath.exp(a), "sqrt": lambda: mpmath.sqrt(a) if _sign(a) else mpmath.mpf(0),
        "log": lambda: mpmath.log(a), "square": lambda: a * a, "relu": lambda: max(a, mpmath.mpf(0)),
        "step": lambda: mpmath.mpf(int(_sign(a) > 0)),
    }  # fmt: skip
    return forms[kind]()


def _sign(number: Any) -> int:
    return 0 if abs(number) < TINY else 1 if number > 0 else -1


def derivative(tree: Tree, at: dict[str, Any]) -> Any:
    """The derivative by x, from difference quotients on both sides; raises Gap where they do not agree.

    Raises ArithmeticError where the quotients tell nothing.
    """
    here = value(tree, at)
    found: list[Any] = []
    for side in (1, -1):
        try:
            quotients = [
                (value(tree, {**at, "x": at["x"] + side * step}) - here) / (side * step)
                for step in (mpmath.mpf(10) ** -12, mpmath.mpf(10) ** -16)
            ]
        except Gap:
            continue
        if abs(quotients[1]) > 10**5 and abs(quotients[1]) > 50 * abs(quotients[0]):
            raise Gap
        if abs(quotients[0] - quotients[1]) > mpmath.mpf(10) ** -6 * (1 + abs(quotients[1])):
            raise ArithmeticError
        found.append(quotients[1])
    if not found or (
        len(found) == 2 and abs(found[0] - found[1]) > mpmath.mpf(10) ** -5 * (1 + abs(found[0]))
    ):
        raise Gap
    return found[0]


GRID = [
    {"x": mpmath.mpf(a) / 2, "y": mpmath.mpf(b) / 2} for a in range(-5, 6) for b in (-4, -3, -1, 0, 1, 2, 4)
]


def point_of(texts: dict[str, str]) -> dict[str, Any] | None:
    """A witness in mpmath, None if it is not rational."""
    try:
        fractions = {n: Fraction(t) for n, t in texts.items()}
    except ValueError:
        return None
    made = {n: mpmath.mpf(f.numerator) / f.denominator for n, f in fractions.items()}
    return {"x": mpmath.mpf(0), "y": mpmath.mpf(0), **made}
