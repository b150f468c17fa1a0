"""Mathematics as people read it: LaTeX, MathML and plain text of the catalogue."""

import json
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import pytest
from latex2mathml.converter import convert

from gradproof.symbolic.axes import Axis, batch
from gradproof.symbolic.boxes import Fence, Ident, Op, Row
from gradproof.symbolic.derivation import derive
from gradproof.symbolic.equations import (
    derivation_notation,
    flat_equations,
    operation_notation,
    program_lines,
    sides,
)
from gradproof.symbolic.expressions import (
    ONE,
    Expr,
    Tensor,
    bracket,
    call,
    derivative,
    entry,
    index,
    parameter,
    power,
    reduce,
    size,
    total,
    where,
)
from gradproof.symbolic.latex import box_to_latex, derivation_to_latex, latex
from gradproof.symbolic.mathml import broken, equations_to_mathml, math, width
from gradproof.symbolic.notation import Notation
from gradproof.symbolic.operation import find, operations
from gradproof.symbolic.plain import box_to_text
from gradproof.symbolic.serial import derivation_to_data

B, N = batch(), Axis("features")
b, i, j, i1 = index("b", B), index("i", N), index("j", N), index("i1", N)
X, Y = Tensor("x", (B, N)), Tensor("y", (B, N))
x, y = entry(X, b, i), entry(Y, b, i)
eps = parameter("eps")


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (y * (ONE - y), r"y_{bi}(1 - y_{bi})"),
        ((ONE - y) * x * y, r"x_{bi}\,y_{bi}(1 - y_{bi})"),
        (-x, r" - x_{bi}"),
        (y - x, r"y_{bi} - x_{bi}"),
        (x / y, r"\frac{x_{bi}}{y_{bi}}"),
        (power(eps + x, Fraction(-1, 2)), r"\frac{1}{\sqrt{\varepsilon + x_{bi}}}"),
        (power(x, Fraction(3, 2)), r"x_{bi}^{\text{3/2}}"),
        (x * Fraction(8943, 200000), r"0.044715\,x_{bi}"),
        (x / 2, r"\frac{x_{bi}}{2}"),
        (total(x * y, i), r"\sum_{i} x_{bi}\,y_{bi}"),
        (total(x, i) / size(N), r"\frac{1}{n_{\mathrm{features}}}\,\sum_{i} x_{bi}"),
        (total(x + y, i), r"\sum_{i} (x_{bi} + y_{bi})"),
        (reduce("max", [i], x), r"\max_{i} x_{bi}"),
        (y * total(x, i), r"y_{bi}\,\sum_{i'} x_{bi'}"),
        (bracket("==", i, j), r"\delta_{ij}"),
        (bracket("<=", j, i), r"[j \le i]"),
        (ONE - bracket(">", x, 0), r"[x_{bi} \le 0]"),
        (
            where(bracket(">", y, 0), x, 0),
            r"\begin{cases} x_{bi} & \text{if }y_{bi} > 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
        (where(bracket(">", x, 0), x, 0), r"\max(x_{bi},\,0)"),
        (where(bracket(">", x, 0), x, where(bracket("<", x, 0), -x, 0)), r"|x_{bi}|"),
        (call("exp", x), r"e^{x_{bi}}"),
        (call("sigmoid", x) ** 2, r"(\sigma(x_{bi}))^{2}"),
        (call("log", total(call("exp", x), i)), r"\log\,\sum_{i} e^{x_{bi}}"),
        (derivative(y, x), r"\frac{\partial y_{bi}}{\partial x_{bi}}"),
        (entry(Tensor("w_ih", (N,)), i), r"w_{i}^{\mathrm{ih}}"),
        (entry(Tensor("xhat", (N,)), i), r"\hat{x}_{i}"),
        (entry(Tensor("h_t", (N,)), i), r"h_{i}^{(t)}"),
        (entry(X, b, i1), r"x_{bi'}"),
    ],
)
def test_latex(expr: Expr, expected: str) -> None:
    assert latex(expr) == expected


def test_derived_names() -> None:
    notation = Notation(frozenset({"x", "xhat", "h_before"}))
    assert latex(entry(Tensor("dxhat", (N,)), i), notation) == r"\mathrm{d}\hat{x}_{i}"
    assert latex(entry(Tensor("x_dot", (N,)), i), notation) == r"\dot{x}_{i}"
    assert latex(entry(Tensor("dx_dot", (N,)), i), notation) == r"\dot{\mathrm{d}x}_{i}"
    assert latex(entry(Tensor("x_dot2", (N,)), i), notation) == r"\ddot{x}_{i}"
    block = entry(Tensor("dxhat_dx", (N, N)), i, j)
    assert latex(block, notation).startswith(r"\left(\frac{\partial \hat{x}}{\partial x}\right)")
    assert latex(entry(Tensor("dh_before", (N,)), i), notation) == r"\overleftarrow{\mathrm{d}h}_{i}^{(t-1)}"


def test_a_part_is_marked() -> None:
    expr = total(y * derivative(x * y, entry(X, b, j)), i)
    assert latex(expr, mark=(0, 1)).startswith(r"\sum_{i} y_{bi}\,{\color{gradproofhot} \frac{\partial")
    assert "gradproofhot" not in latex(expr)


def test_textbook_forms() -> None:
    assert r"\mathrm{rstd}_{b}\left(\mathrm{d}\hat{x}_{bj}" in derivation_to_latex(derive(find("layer_norm")))
    softmax = derivation_to_latex(derive(find("softmax")))
    assert r"y_{bk}\left(\mathrm{d}y_{bk} - \sum_{k'} \mathrm{d}y_{bk'}\,y_{bk'}\right)" in softmax
    cell = derivation_to_latex(derive(find("lstm_cell")))
    assert r"\mathrm{d}h_{bn}\,u_{bn}\,o_{bn}(1 - o_{bn}) & \text{if }g = 3" in cell


def names() -> list[str]:
    return [form.label for operation in operations().values() for form in operation.variants]


@pytest.mark.parametrize("name", names())
def test_catalogue(name: str) -> None:
    operation = find(name)
    derivation = derive(operation)
    notation = derivation_notation(derivation)
    equations = [
        *flat_equations(program_lines(operation.program, operation_notation(operation))),
        *flat_equations(program_lines(derivation.program, notation)),
    ]
    boxes = [sides(e) for e in equations]
    boxes += [notation.box(step.before, step.where) for step in derivation.steps[:40]]
    for box in boxes:
        text = box_to_latex(box)
        assert text.count("{") == text.count("}")
        assert "+ -" not in text and "1 +  -" not in text
        ElementTree.fromstring(math(box))
        assert box_to_text(box)
    for equation in equations:
        convert(box_to_latex(sides(equation)))
    ElementTree.fromstring(equations_to_mathml(equations))
    json.dumps(derivation_to_data(derivation))


def test_a_long_sum_in_parentheses_is_broken() -> None:
    long = Row(tuple(part for _ in range(30) for part in (Op("+", "binary"), Ident("abc")))[1:])
    first, *_, last = broken(Row((Ident("x"), Fence("(", long, ")"))), 40)
    assert math(first).startswith('<math><mrow><mi>x</mi><mo form="prefix">(</mo>')
    assert math(last).endswith('<mo form="postfix">)</mo></mrow></math>')


def test_long_sums_are_broken() -> None:
    long = Notation().box(sum((entry(Tensor(f"term{n}", (B,)), b) for n in range(30)), start=x))
    lines = broken(long)
    assert len(lines) > 2
    assert sum(map(width, lines)) == width(long)


def test_objects_show_themselves() -> None:
    operation = find("softmax")
    derivation = derive(operation)
    for shown in (operation, derivation, derivation.program, derivation.steps[0].before):
        made = shown._repr_latex_()
        assert made.startswith("$$") and made.endswith("$$")
    from gradproof.symbolic.verdict import Verdict

    assert "**undecided**" in Verdict("undecided", reason="too hard")._repr_markdown_()
