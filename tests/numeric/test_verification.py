"""verify(): every operation of the catalogue passes, and a kernel that is wrong by little does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch

from gradproof.numeric import accuracy, verification
from gradproof.numeric.evidence import Evidence
from gradproof.numeric.kernels import Compiled, Kernel, Wanted, lower
from gradproof.numeric.verification import verify
from gradproof.symbolic.axes import Axis, batch
from gradproof.symbolic.language import indices, sigmoid, sum_over
from gradproof.symbolic.operation import Array, Builder, Operation, find, operation, operations, real

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
LABELS = [variant.label for each in operations().values() for variant in each.variants]
OVERFLOWING = [name for name in LABELS if name.startswith("transformer_block_post")]
"""Queries and keys of size 1e30 have scores that no float32 holds; the mathematics is finite."""


def correctness(found: tuple[Evidence, ...]) -> list[Evidence]:
    return [e for e in found if not e.check.startswith("accuracy")]


def failed(found: tuple[Evidence, ...]) -> set[tuple[str, str]]:
    return {(e.check, e.target) for e in found if not e.passed}


# --- the catalogue


@pytest.mark.parametrize("label", LABELS)
def test_catalogue(label: str) -> None:
    found = verify(find(label))
    made = {e.check for e in found if e.target == "torch"}
    assert {"vjp against torch autograd", "jvp", "second order", "extremes"} <= made
    for e in correctness(found):
        if e.check == "extremes" and label in OVERFLOWING:
            assert not e.passed, "now it holds: say so above"
        else:
            assert e.passed, e


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_catalogue_in_depth(label: str) -> None:
    for e in correctness(verify(find(label), seed=1, depth="deep")):
        assert e.passed or e.check == "extremes", e


def test_the_records_are_the_same_for_the_same_seed() -> None:
    first, again, other = (verify(find("layer_norm"), seed=s) for s in (3, 3, 4))
    assert first == again
    assert first != other


def test_the_record_says_what_was_compared() -> None:
    found = {(e.check, e.target, e.dtype): e for e in verify(find("sigmoid"))}
    e = found["accuracy, backward", "torch", "float32"]
    assert e.against == "torch.sigmoid"
    assert e.reference is not None and e.error is not None and e.error <= 4 < e.reference
    assert e.worst.startswith("x = ")
    assert e.to_dict()["unit"] == "ulp"


# --- a user's own operation: no code but its definition

CHANNEL, TAP = Axis("channel"), Axis("tap", size=3)
B = batch()


@operation("test", x=real(B, CHANNEL), gain=real(CHANNEL), w=real(TAP), register=False)
def gated(let: Builder, x: Array, gain: Array, w: Array) -> tuple[Array, Array]:
    b, c, t = indices("b c t", B, CHANNEL, TAP)
    z = let("z", [b, c], sigmoid(gain[c] * x[b, c]) * sp.sin(x[b, c]))
    energy = let("energy", [b], sum_over(z[b, c] ** 2, c))
    return let("y", [b, c, t], z[b, c] * w[t] / sp.sqrt(1 + energy[b])), energy


def test_an_operation_of_a_user() -> None:
    found = verify(gated)
    assert {e.target for e in found} == {"numpy", "torch"}
    assert all(e.passed for e in found), [e for e in found if not e.passed]
    assert {e.against for e in found if e.check.startswith("accuracy")} == {"definition in PyTorch"}


# --- wrong kernels


class Spoiled(Kernel):
    """A kernel of which one function is changed."""

    def __init__(self, right: Kernel, changes: dict[str, Callable[..., Any]]) -> None:
        super().__init__(right.program, right.target, right.label, right.defaults)
        self.changes = changes

    def compiled(
        self, in_place: bool, zeros: frozenset[str], *, native: str = "", wanted: Wanted = None
    ) -> Compiled:
        made = super().compiled(in_place, zeros, native=native, wanted=wanted)
        spoiled = {name: change(getattr(made, name)) for name, change in self.changes.items()}
        return replace(made, **{name: s for name, s in spoiled.items() if getattr(made, name) is not None})


def each_result(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Change every result of a function of a kernel."""

    def spoil(function: Callable[..., Any]) -> Callable[..., Any]:
        def spoiled(*arguments: Any, **parameters: Any) -> Any:
            return tuple(None if r is None else change(r) for r in function(*arguments, **parameters))

        return spoiled

    return spoil


def spoil_outputs(function: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(*arguments: Any, **parameters: Any) -> Any:
        outputs, saved = function(*arguments, **parameters)
        return tuple(o * (1 + 1e-6) for o in outputs), saved

    return spoiled


def verify_spoiled(
    monkeypatch: pytest.MonkeyPatch, of: Operation, changes: dict[str, Callable[..., Any]], target: str
) -> set[tuple[str, str]]:
    wrong = Spoiled(lower(of, target), changes)
    with monkeypatch.context() as patched:
        patched.setattr(verification, "lower", lambda *_: wrong)
        patched.setattr(verification, "check_accuracy", lambda *_: ())
        return failed(verify(of, targets=[target]))


CHANGES: dict[str, tuple[str, Callable[..., Any], str]] = {
    "a sign": ("vjp", each_result(lambda r: -r), "vjp against torch autograd"),
    "a factor": ("vjp", each_result(lambda r: r * (1 + 1e-6)), "vjp against torch autograd"),
    "a term": ("vjp", each_result(lambda r: r + 1e-7), "vjp against torch autograd"),
    "one axis too many": ("vjp", each_result(lambda r: r[None]), "vjp against torch autograd"),
    "the forward": ("forward", spoil_outputs, "vjp against torch autograd"),
    "the tangent": ("jvp", each_result(lambda r: r * (1 + 1e-6)), "jvp"),
}


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["sigmoid", "layer_norm", "cross_entropy", "attention", "lstm"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_kernel_is_noticed(
    monkeypatch: pytest.MonkeyPatch, name: str, change: str, target: str
) -> None:
    function, spoil, check = CHANGES[change]
    if change == "one axis too many" and target == "torch":
        pytest.skip("autograd adds an axis of size 1 up: the gradient is right")
    assert (check, target) in verify_spoiled(monkeypatch, find(name), {function: spoil}, target)


@pytest.mark.parametrize("name", ["softmax", "gru_cell", "rms_norm"])
def test_a_wrong_second_derivative_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    right = lower(name, "torch")
    wrong = Spoiled(right, {})
    changed = Spoiled(right.gradient, {"vjp": each_result(lambda r: r * (1 + 1e-6))})
    wrong.__dict__["gradient"] = changed
    monkeypatch.setattr(verification, "lower", lambda *_: wrong)
    monkeypatch.setattr(verification, "check_accuracy", lambda *_: ())
    assert failed(verify(find(name), targets=["torch"])) == {("second order", "torch")}


def test_the_right_kernel_in_the_same_dress_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify_spoiled(monkeypatch, find("softmax"), {}, "numpy") == set()


def test_a_kernel_that_raises_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(function: Callable[..., Any]) -> Callable[..., Any]:
        def spoiled(*arguments: Any, **parameters: Any) -> Any:
            raise RuntimeError("no such thing")

        return spoiled

    wrong = Spoiled(lower("tanh", "numpy"), {"vjp": raising})
    monkeypatch.setattr(verification, "lower", lambda *_: wrong)
    monkeypatch.setattr(verification, "check_accuracy", lambda *_: ())
    first = verify(find("tanh"), targets=["numpy"])[0]
    assert not first.passed and first.error == math.inf
    assert "no such thing" in first.note
    assert first.to_dict()["error"] == "inf"


def test_nan_is_infinitely_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    change = each_result(lambda r: r * np.nan)
    assert ("vjp against torch autograd", "numpy") in verify_spoiled(
        monkeypatch, find("tanh"), {"vjp": change}, "numpy"
    )


def test_nan_is_no_measure_of_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backward of PyTorch's tanh form of GELU has NaN; a kernel that has some does not pass for that."""
    right = {e.check: e for e in accuracy.check_accuracy(find("gelu_tanh"), ["numpy"], 0, "default")}
    e = right["accuracy, backward"]
    assert e.passed and e.reference == math.inf and e.bound is not None and math.isfinite(e.bound)
    for wrong in (math.nan, math.inf):
        kernel = Spoiled(
            lower("gelu_tanh", "numpy"), {"vjp": each_result(lambda r, w=wrong: np.where(r, r, w))}
        )
        monkeypatch.setattr(accuracy, "lower", lambda *_, k=kernel: k)
        found = accuracy.check_accuracy(find("gelu_tanh"), ["numpy"], 0, "default")
        assert not {e.check: e for e in found}["accuracy, backward"].passed
