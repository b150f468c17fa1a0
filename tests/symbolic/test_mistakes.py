"""Mistakes while an operation is being written: each gives one sentence, with what was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import sympy as sp

from gradproof.symbolic.axes import Axis, batch
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.language import indicator, indices, mean_over, read, sum_over
from gradproof.symbolic.mistakes import MistakeError
from gradproof.symbolic.operation import find, integer, operation, real, scalar
from gradproof.symbolic.proof import prove

B, K, H, GATE = batch(), Axis("classes", minimum=1), Axis("hidden"), Axis("gate", size=4)
b, k, j, h, g = indices("b k j h g", B, K, K, H, GATE)
softmax, mse = find("softmax"), find("mse_loss")

Write = Callable[..., Any]


def written(write: Write) -> None:
    """Write an operation of x[b, k], a number c, a gate vector, and integers that point into the classes."""

    @operation(
        "test",
        {"x": real(B, K), "c": real(), "v": real(GATE), "at": integer(B, over=K), "z": real(B)},
        register=False,
    )
    def wrong(let: Any, x: Any, c: Any, v: Any, at: Any, z: Any) -> Any:
        return write(let, x, c, v, at, z)

    _ = wrong.program


def _any(*given: Any) -> Any:
    """What the type checker would say no to."""
    return given


def y(value: Callable[..., Any], *over: Any) -> Write:
    """An operation whose only definition has this value."""
    return lambda let, x, c, v, at, z: let("y", [*(over or (b, k))], value(x=x, c=c, v=v, at=at, z=z))


MISTAKES: dict[str, tuple[Write, str]] = {
    "a name that is none": (
        lambda let, x, *_: let("my y", [b, k], x[b, k]),
        "named by an identifier.*'my y'",
    ),
    "a word of Python": (lambda let, x, *_: let("lambda", [b, k], x[b, k]), "write lambda_"),
    "NumPy's exp": (y(lambda x, **_: np.exp(x[b, k])), "a NumPy function .*sp.exp"),
    "NumPy's exp of a product": (y(lambda x, **_: np.exp(2 * x[b, k])), "a NumPy function .*sp.exp"),
    "NumPy's exp of a tensor": (y(lambda x, **_: np.exp(x)), "a NumPy function .*sp.exp"),
    "exp of the math module": (y(lambda x, **_: math.exp(x[b, k])), "a function of numbers .*sp.exp"),
    "SymPy's exp of a tensor": (
        y(lambda x, **_: sp.exp(x)),
        r"x\[batch, classes\] is a whole tensor.* as in x\[b, k\]",
    ),
    "if": (y(lambda x, **_: x[b, k] if x[b, k] > 0 else 0), "no truth value .* sp.Piecewise"),
    "and": (y(lambda x, **_: indicator(x[b, k] > 0 and x[b, k] < 1)), "no truth value .* & and |"),
    "max": (y(lambda x, **_: max(x[b, k], 0)), "no truth value .* sp.Max"),
    "== of entries": (y(lambda x, **_: indicator(x[b, k] == 0)), r"found False.* sp.Eq\(x\[b\], 0\)"),
    "sum": (y(lambda x, **_: sum(x[b, k])), r"nothing to run through; sum_over\(x\[b, k\], k\)"),
    "a loop over a tensor": (y(lambda x, **_: sum(i for i in x)), "a whole tensor, not to be run through"),
    "sp.Sum": (y(lambda x, **_: sp.Sum(x[b, k], (k, 0, 3))), r"sum_over\(x\[b, k\], k\) is a sum"),
    "Heaviside": (y(lambda x, **_: sp.Heaviside(x[b, k])), "write its cases"),
    "a function without a row": (
        y(lambda x, **_: sp.gamma(x[b, k])),
        "gamma has no meaning .* there are .*tanh",
    ),
    "a derivative": (y(lambda x, **_: sp.Derivative(sp.exp(x[b, k]), x[b, k])), "derived, not written"),
    "a complex number": (y(lambda x, **_: x[b, k] * sp.I), "numbers are real"),
    "a division by 0": (y(lambda x, **_: x[b, k] / 0), "it has no value"),
    "a float": (y(lambda x, **_: 0.1 * x[b, k]), r"float 0.1; .* sp.Rational\('0.1'\)"),
    "a float of NumPy": (y(lambda x, **_: np.float64(0.5) * x[b, k]), "float 0.5"),
    "a float for an exponent": (y(lambda x, **_: x[b, k] ** 0.5), "float 0.5"),
    "quotes": (y(lambda **_: "x[b, k]"), "without quotes"),
    "nothing": (y(lambda **_: None), "a value is missing"),
    "a tensor for a value": (y(lambda x, **_: x), r"x\[batch, classes\] \(Array\) is no expression"),
    "arithmetic on tensors": (y(lambda x, **_: (x + 1)[b, k]), "whole tensor.* as in x"),
    "arithmetic on a single number": (y(lambda c, **_: c**2), r"x\[\(\)\] for a single number"),
    "the shape": (y(lambda x, **_: x[b, k] / x.shape[1]), r"size_of\(AXIS\)"),
    "the length": (y(lambda x, **_: x[b, k] / len(x)), r"size_of\(AXIS\)"),
    "a method": (y(lambda x, **_: x.sum()), "a tensor has no methods"),
    "an assignment": (lambda let, x, *_: x.__setitem__((b, k), 1), "never changed|no methods"),
    "a symbol of one's own": (y(lambda x, **_: x[b, k] * sp.Symbol("alpha")), r"alpha=scalar\('1'\)"),
    "an undeclared input": (y(lambda x, **_: x[b, k] * w[b]), r"w is not defined; .* \(w=real\(...\)\)"),  # type: ignore[name-defined]  # noqa: F821
    "too few indices": (y(lambda x, **_: x[b]), r"x\[batch, classes\] has 2 axes, found 1 indices: b"),
    "too many indices": (y(lambda z, **_: z[b, k]), r"z\[batch\] has 1 axes, found 2 indices: b and k"),
    "an index of another axis": (
        y(lambda x, **_: x[b, h]),
        "expects an index of axis classes, found h of hidden",
    ),
    "swapped indices": (y(lambda x, **_: x[k, b]), "expects an index of axis batch, found k of classes"),
    "a slice": (y(lambda x, **_: x[b, :]), "each axis takes an index"),
    "an ellipsis": (y(lambda x, **_: x[..., k]), "each axis takes an index"),
    "a position off the axis": (y(lambda v, **_: v[4], b), "the axis gate has size 4, found the position 4"),
    "a position from the end": (y(lambda x, **_: x[b, -1], b), "found the position -1"),
    "a position that may not be there": (y(lambda x, **_: x[b, 1], b), r"size 1 or more \(minimum=1\)"),
    "a position that is no integer": (
        y(lambda x, z, **_: x[b, z[b]], b),
        r"an entry of an integer input, found z\[b\]",
    ),
    "a position on another axis": (
        y(lambda v, at, **_: v[at[b]], b),
        "expects positions on axis gate, .* lie on classes",
    ),
    "a shifted position": (y(lambda x, **_: x[b, k + 1]), r"sum_over\(x\[s\] \* equal\(s, t \+ 1\), s\)"),
    "an index bound twice": (
        y(lambda x, **_: sum_over(sum_over(x[b, k], k), k), b),
        "the index k is bound twice",
    ),
    "an index given twice": (y(lambda x, **_: sum_over(x[b, k], k, k), b), "the index k is bound twice"),
    "an index that does not occur": (
        y(lambda x, **_: sum_over(x[b, k], j)),
        "the index j does not occur in x",
    ),
    "a sum over nothing": (y(lambda x, **_: sum_over(x[b, k]), b), "the indices to reduce over"),
    "a mean over nothing": (y(lambda x, **_: mean_over(x[b, k]), b), "the indices to reduce over"),
    "a sum over an axis": (
        y(lambda x, **_: sum_over(x[b, k], *_any(K)), b),
        r"found Axis\(classes\) as an index",
    ),
    "a sum over an entry": (y(lambda x, **_: sum_over(k, x[b, k]), b), r"found x\[b,k\] as an index"),
    "a free index": (y(lambda x, **_: x[b, k], b), "the index k is neither summed nor on the left side, b"),
    "an index twice on the left": (y(lambda x, **_: x[b, k], k, k), "distinct indices, found k and k"),
    "a number on the left": (y(lambda x, **_: x[b, k], b, 0), "distinct indices, found b and 0"),
    "indices that are no list": (lambda let, x, *_: let("y", b, x[b, k]), "come as a list"),
    "no value": (lambda let, x, *_: let("y", [b, k]), "let takes a name, a list of indices and a value"),
    "a name used twice": (
        lambda let, x, *_: (let("y", [b, k], x[b, k]), let("y", [b, k], 2 * x[b, k])),
        "y is defined twice",
    ),
    "the name of an input": (lambda let, x, *_: let("x", [b, k], x[b, k]), "x is defined twice"),
    "no output": (lambda let, x, *_: None, "nothing is returned"),
    "an output without a name": (
        lambda let, x, *_: x[b, k] ** 2,
        r"found x\[b,k\]\*\*2 \(a value gets its name",
    ),
    "a list of outputs": (lambda let, x, *_: [x], "several as a tuple; found the list"),
    "an operation applied to an entry": (
        lambda let, x, *_: softmax(x[b, k]),
        r"applied to tensors .* found x\[b,k\]",
    ),
    "an operation applied to nothing": (
        lambda let, x, *_: softmax(),
        r"softmax takes x\[batch, classes\], found nothing",
    ),
    "an operation without an input": (lambda let, x, *_: mse(x), "mse_loss takes 2 inputs"),
    "axes that do not fit": (
        lambda let, x, c, v, at, z: mse(x, z),
        "stands for batch and classes elsewhere, found batch",
    ),
    "integers for real numbers": (
        lambda let, x, c, v, at, z: softmax(at),
        "is real, found at.*, which is integer",
    ),
    "one side of a condition": (lambda let, x, *_: let.suppose(x[b, k]), "two sides of an equation"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_sentence(what: str) -> None:
    write, said = MISTAKES[what]
    with pytest.raises(MistakeError, match=said) as found:
        written(write)
    text = str(found.value)
    assert text.startswith("wrong, line ") or text.startswith("wrong: ")
    assert len(text) < 340 and "\n" not in text


def test_the_line_is_that_of_the_mistake() -> None:
    with pytest.raises(MistakeError) as found:
        written(MISTAKES["NumPy's exp"][0])
    here = int(str(found.value).removeprefix("wrong, line ").partition(":")[0])
    with open(__file__, encoding="utf-8") as text:
        assert "np.exp(x[b, k])" in text.read().splitlines()[here - 1]


def _declared(**inputs: Any) -> Callable[[], Any]:
    return lambda: operation("test", register=False, **inputs)


def _with(function: Callable[..., Any], **inputs: Any) -> Callable[[], Any]:
    return lambda: operation("test", register=False, **inputs)(function)


def takes_too_little(let: Any, x: Any) -> Any: ...


def takes_no_let(x: Any) -> Any: ...


ELSEWHERE: dict[str, tuple[Callable[[], Any], str]] = {
    "an axis with a space": (lambda: Axis("my axis"), "an axis is named by an identifier"),
    "an axis without a name": (lambda: Axis(3), "found 3"),  # type: ignore[arg-type]
    "an axis of size 0": (lambda: Axis("gate", size=0), "at least 1, found 0"),
    "a negative minimum": (lambda: Axis("n", minimum=-1), "at least 0, found -1"),
    "an index with a minus": (lambda: indices("b-1", B), "an index is named by an identifier"),
    "more names than axes": (lambda: indices("b k", B), "2 index names for 1 axes"),
    "an index over a text": (lambda: indices("b", "batch"), "runs over an axis, .* found 'batch'"),  # type: ignore[arg-type]
    "an input declared as an axis": (_declared(x=K), r"x is declared by real\(AXIS, ...\)"),
    "an input declared as a text": (_declared(x="real"), "found 'real'"),
    "an input over a text": (lambda: real("classes"), "found 'classes'"),  # type: ignore[arg-type]
    "batch axes that are not first": (lambda: real(K, B), "batch axes come first, found classes, batch"),
    "a domain that is none": (lambda: real(K, domain="plus"), "'plus' is no domain; write `real`"),
    "an option without values": (_declared(x=real(K), mode=()), "the option mode needs its allowed values"),
    "an option that is not there": (_declared(x=real(K, mask="causal")), "which is no declared option"),
    "a default that is a float": (lambda: scalar(0.1), r"scalar\('0.1'\)"),  # type: ignore[arg-type]
    "a default that is no number": (lambda: scalar("abc"), "found 'abc'"),
    "an argument too few": (_with(takes_too_little, x=real(K), z=real(K)), "let and x; .* declares: x and z"),
    "an argument too many": (_with(takes_too_little), "declares: nothing"),
    "no let": (_with(takes_no_let, x=real(K)), "takes x; it has to take let"),
    "a lambda": (_with(lambda let, x: x, x=real(K)), "found a lambda"),
    "a decorator without a topic": (lambda: operation(takes_no_let), "the decorator takes a topic"),  # type: ignore[arg-type]
    "a name that is taken": (
        lambda: operation("test", x=real(K))(FunctionType(_sigmoid.__code__, {}, "sigmoid")),
        "an operation named sigmoid exists already",
    ),
    "an option of the wrong value": (lambda: find("attention(mask=weird)"), "no option mask='weird'"),
    "an operation applied to numbers": (lambda: softmax(*_any(np.zeros(3))), r"'numpy'\).forward takes"),
    "a derivation of a function": (lambda: derive(*_any(takes_no_let)), "made by @operation"),
    "an order of 0": (lambda: derive("tanh", "taylor", order=0), "at least 1"),
    "a huge order": (lambda: derive("tanh", "taylor", order=1000), "at most 12"),
    "an order that is no integer": (lambda: derive("tanh", "taylor", order=2.5), "found 2.5"),  # type: ignore[arg-type]
    "a text to be proved": (lambda: prove("x + 1", "1 + x"), "without quotes"),
    "a float to be proved": (lambda: prove(0.5, Fraction(1, 2)), "write an exact number"),
    "a symbol to be proved": (lambda: read(sp.Symbol("x")), "the symbol x is unknown"),
}  # fmt: skip


def _sigmoid(let: Any, x: Any) -> Any: ...


@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_mistake_elsewhere_is_one_sentence(what: str) -> None:
    make, said = ELSEWHERE[what]
    with pytest.raises(ValueError, match=said) as found:
        make()
    assert "\n" not in str(found.value)


def test_no_operation_applies_itself() -> None:
    @operation("test", x=real(B), register=False)
    def first(let: Any, x: Any) -> Any:
        return second(x)

    @operation("test", x=real(B), register=False)
    def second(let: Any, x: Any) -> Any:
        return first(x)

    with pytest.raises(MistakeError, match="first applies second applies first; no operation applies itself"):
        _ = first.program


def test_tensors_of_another_operation_are_refused() -> None:
    kept: list[Any] = []

    @operation("test", x=real(B), register=False)
    def keeps(let: Any, x: Any) -> Any:
        kept.append(let("y", [b], x[b] ** 2))
        return kept[0]

    @operation("test", x=real(B), register=False)
    def reads(let: Any, x: Any) -> Any:
        return let("z", [b], kept[0][b] + x[b])

    @operation("test", x=real(B), register=False)
    def returns(let: Any, x: Any) -> Any:
        return kept[0]

    _ = keeps.program
    for wrong in (reads, returns):
        with pytest.raises(MistakeError, match="belongs to another operation"):
            _ = wrong.program


def test_two_declarations_are_two_axes() -> None:
    one, other = Axis("n"), Axis("n")
    i, i1 = indices("i i", one, other)
    assert one != other

    @operation("test", x=real(one), y=real(one), register=False)
    def crossed(let: Any, x: Any, y: Any) -> Any:
        return let("z", [i], x[i] * y[i1])

    @operation("test", x=real(one), y=real(other), register=False)
    def both(let: Any, x: Any, y: Any) -> Any:
        return let("z", [i], x[i] * sum_over(y[i1], i1))

    with pytest.raises(
        MistakeError, match="expects an index of axis n, found i of another axis of that name"
    ):
        _ = crossed.program
    with pytest.raises(MistakeError, match=r"both: two axes are called n; .* a name of its own"):
        _ = both.program


def test_what_is_no_mistake_stays_what_it_is() -> None:
    """An index may be bound and stand on the left side; an input may be returned, and one tensor twice."""

    @operation("test", x=real(B, K), register=False)
    def centred(let: Any, x: Any) -> Any:
        y = let("y", [b, k], x[b, k] - mean_over(x[b, k], k))
        return y, y, x

    @operation("test", x=real(B, K), register=False)
    def applies(let: Any, x: Any) -> Any:
        return centred(x)

    assert [t.name for t in centred.outputs] == [t.name for t in applies.outputs] == ["y", "y", "x"]

    def fails() -> None:
        raise OSError("not about the operation")

    with pytest.raises(OSError, match="not about"):
        written(lambda let, x, *_: fails())
