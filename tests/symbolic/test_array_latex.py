r"""Claims over arrays in LaTeX, index and matrix notation; what has two readings is refused."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

from gradproof.symbolic.array_claims import judge_arrays
from gradproof.symbolic.claims_file import Claim, Kind
from gradproof.symbolic.syntax import ParseError
from gradproof.symbolic.verdict import Verdict

AXES: dict[str, tuple[str, ...]] = {
    "x": ("n",), "w": ("n",), "y": ("n",), "A": ("n", "n"), "W": ("m", "n"), "P": ("b", "c"), "t": ("b",),
}  # fmt: skip


def judged(kind: str, by: str, function: str, claim: str, **more: Any) -> Verdict:
    defined = function.partition("_")[0] if "=" in function.partition(r"\sum")[0] else ""
    axes = {n: a for n, a in AXES.items() if n != defined}
    wrt = (by,) if by else ()
    return judge_arrays(
        Claim("", function, wrt, claim, kind=cast("Kind", kind), axes=axes, latex=True, **more)
    )


TRUE: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("vjp", "x[j]", r"\sum_{i=1}^{n} \operatorname{softmax}(x)_i w_i",
     r"g \operatorname{softmax}(x)_j \left(w_j - \sum_i \operatorname{softmax}(x)_i w_i\right)", {}),
    ("jacobian", "x[j]", r"y_i = \mathrm{softmax}(x)_i",
     r"\frac{\partial y_i}{\partial x_j} = y_i (\delta_{ij} - y_j)", {}),
    ("jacobian", "x", r"\mathbf{x}^\top A \mathbf{x}", r"(A + A^\top) \mathbf{x}", {}),
    ("vjp", "x", r"\lVert x \rVert_2", r"g \frac{x}{\lVert x \rVert}", {}),
    ("vjp", "x", r"\|x\|^2", r"2 g x", {}),
    ("jacobian", "A", r"\log \det A", r"A^{-\top}", {}),
    ("vjp", "A", r"A^{-1}", r"-A^{-\top} g A^{-T}", {}),
    ("vjp", "x[i]", r"y_i = \tanh(x_i)", r"\frac{\partial L}{\partial y_i} (1 - y_i^2)", {}),
    ("vjp", "x[i]", r"y_i = \sigma(x_i)", r"\partial L/\partial y_i \cdot y_i (1 - y_i)", {}),
    ("vjp", "x", "W x", r"W^{\mathsf T} g", {}),
    ("vjp", "W", "W x", r"g x^{\top}", {}),
    ("vjp", "x", r"x \odot y", r"g \odot y", {}),
    ("jacobian", "x", r"x^\top y", "y", {}),
    ("jacobian", "x", r"x \cdot y", "y", {}),
    ("jacobian", "A", r"\operatorname{tr}(A W^\top W)", r"W^\top W", {}),
    ("vjp", "P[a,k]", r"-\frac{1}{b} \sum_{a=1}^{b} \log \operatorname{softmax}(P)_{a, t_a}",
     r"\frac{g}{b} (\operatorname{softmax}(P)_{ak} - \mathbb{1}[k = t_a])", {"domain": {"t": "index"}}),
    ("jacobian", "x[i]", r"\sum_i \begin{cases} x_i & x_i > 0 \\ 0 & \text{otherwise} \end{cases}",
     r"\mathbb{1}[x_i > 0]", {"where": ("x != 0",)}),
    ("jacobian", "x[i]", r"\sum_i |x_i|", r"\frac{x_i}{|x_i|}", {"where": ("x != 0",)}),
    ("vjp", "x[j]", r"y_i = \sum_{j=1}^{i} x_j", r"\sum_{i \ge j} g_i", {}),
    ("jacobian", "x[i]", r"\log \sum_{k=1}^{n} e^{x_k}", r"\frac{e^{x_i}}{\sum_k e^{x_k}}", {}),
    ("jacobian", "x[j]", r"\prod_i x_i", r"\frac{1}{x_j} \prod_i x_i", {"domain": {"x": ">0"}}),
    ("jacobian", "x[k]", r"\sum_{i,j} x_i A_{ij} x_j", r"\sum_j (A_{kj} + A_{jk}) x_j", {}),
    ("identity", "", r"(A W^\top)^\top", r"W A^\top", {}),
]  # fmt: skip


@pytest.mark.parametrize("kind, by, function, claim, more", TRUE)
def test_what_holds_is_proved(kind: str, by: str, function: str, claim: str, more: dict[str, Any]) -> None:
    assert judged(kind, by, function, claim, **more).verdict == "proved"


@pytest.mark.parametrize("kind, by, function, claim, more", TRUE)
def test_twice_of_it_is_refuted(kind: str, by: str, function: str, claim: str, more: dict[str, Any]) -> None:
    doubled = claim.partition("=")[2] if r"\partial y_i" in claim and "=" in claim else claim
    assert judged(kind, by, function, rf"2 \left({doubled}\right)", **more).verdict == "refuted"


REFUSED = {
    "x y": "two vectors side by side can be read as",
    r"|A|": "can be read as its determinant or entry by entry",
    r"\sum_i i x_i": "can be read as counted from 0 or from 1",
    r"\sum x_i": "without an index below",
    r"\sum_{i=2}^{n} x_i": "an index runs from 1 to the size of an axis",
    r"\sum_{i=1}^{7} x_i": "the sum ends at what is no axis",
    r"\tanh x y": "can be read as",
    r"1/2 x": "can be read as",
    r"\foo x": r"the command \foo is not read",
    r"\operatorname{foo}(x)": "there is no function 'foo'",
    r"\mathbf{1}": "a vector of ones",
    r"\delta_i": "a delta has two indices",
    "": "the formula is empty",
    "{" * 200: "nested more than 80 deep",
    r"\__import__": "no meaning here",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_two_readings_or_none_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match=re.escape(REFUSED[text])):
        judged("identity", "", text, "x")


def test_a_left_side_with_other_indices_is_refused() -> None:
    with pytest.raises(ParseError, match="the left side names other indices"):
        judged("jacobian", "x[j]", r"y_i = \tanh(x_i)", r"\frac{\partial y_j}{\partial x_i} = \delta_{ij}")
