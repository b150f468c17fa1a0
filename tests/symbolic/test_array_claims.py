"""Claims over arrays: rules that hold are proved, others are refuted; an independent judge agrees."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, cast

import pytest
from array_oracle import holds
from array_rules import INDICES, Rule, rules

from gradproof.symbolic.array_claims import judge_arrays
from gradproof.symbolic.claims_file import Claim, Kind
from gradproof.symbolic.syntax import ParseError
from gradproof.symbolic.verdict import Verdict

RULES = list(rules())


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_is_decided(rule: Rule) -> None:
    verdict = judge_arrays(rule.claim)
    assert verdict.verdict == ("proved" if rule.true else "refuted"), verdict


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_truth_of_a_rule_is_confirmed(rule: Rule) -> None:
    assert holds(rule.claim, rule.free, {**INDICES, "o1": "o"}) is rule.true


def test_there_are_many_rules() -> None:
    assert sum(r.true for r in RULES) >= 80
    assert len(RULES) >= 160


VECTORS: dict[str, tuple[str, ...]] = {
    "x": ("n",), "y": ("n",), "A": ("n", "n"), "B": ("n", "n"), "X": ("m", "n"),
}  # fmt: skip


def judged(kind: str, function: str, claim: str, by: str = "", **more: Any) -> Verdict:
    """The verdict over vectors and matrices."""
    axes = more.pop("axes", VECTORS)
    return judge_arrays(
        Claim("", function, (by,) if by else (), claim, kind=cast("Kind", kind), axes=axes, **more)
    )


FALSE_IDENTITIES = {
    "true for n <= 2 only": ("sum(x)**3 - 3*sum(x)*sum(x**2) + 2*sum(x**3)", "0"),
    "true for n = 1 only": ("sum(x)*sum(y)", "sum(x*y)"),
    "an index bound twice is two indices": ("sum(x[i]*sum(y[i], i), i)", "sum(x[i]*y[i], i)"),
    "bound indices of one name do not meet": ("sum(x[i], i)*sum(y[i], i)", "sum(x[i]*y[i], i)"),
    "a free index is not the bound one": ("sum(x[i]*y[j], i)", "sum(x[i]*y[i], i)"),
    "axes of one name, transposed": ("A", "A.T"),
    "free indices of one axis, exchanged": ("x[i]*y[j]", "x[j]*y[i]"),
    "matrices do not commute": ("A @ B", "B @ A"),
    "nor in a trace of four": ("trace(A @ B @ A @ B)", "trace(A @ A @ B @ B)"),
    "a product of inverses in the wrong order": ("inv(A @ B)", "inv(A) @ inv(B)"),
    "an inverse of a singular matrix": ("eye(n)", "inv(A) @ A"),
    "only a sum is known to be invertible": ("inv(A + outer(x, y))", "inv(A + outer(x, y)) + 0*inv(A)"),
    "a determinant is not linear": ("det(2*A)", "2*det(A)"),
    "an odd size has another sign": ("det(-A)", "det(A)"),
    "an even size has another sign": ("det(-A)", "-det(A)"),
    "both determinants may be negative": ("logdet(A @ B)", "logdet(A) + logdet(B)"),
    "an inverse of what is not square": ("inv(X.T @ X)", "inv(X) @ inv(X.T)"),
    "a square root loses a sign": ("sqrt(x**2)", "x"),
    "0/0": ("x", "x**2/x"),
    "an axis is no number": ("sum(x)/n", "sum(x)/2"),
    "an update of low rank, its vectors exchanged": ("det(A + outer(x, y))", "det(A)*(1 + x @ inv(A) @ y)"),
    "an update of low rank, cut in the wrong place": (
        "det(eye(m) + X @ A @ X.T)",
        "det(eye(n) + X.T @ X @ A @ A)",
    ),
    "an update of low rank of a matrix that may be singular": (
        "inv(A + outer(x, y))",
        "inv(A) - inv(A) @ outer(x, y) @ inv(A)/(1 + y @ inv(A) @ x)",
    ),
    "a function of two numbers has two": ("besselj(0, x)", "besselj(0, y)"),
    "a parameter is a number, too": ("gammainc(1 + x**2, 2)", "gammainc(1 + x**2, 3)"),
    "a flip moves": ("flip(x)", "x"),
    "a roll has a direction": ("roll(x, 1)", "roll(x, -1)"),
    "parts of an axis, moved": ("x[1:]", "x[:-1]"),
    "side by side in an order": ("concatenate([x, y])", "concatenate([y, x])"),
    "a diagonal has a number": ("tril(A, 1)", "tril(A, 2)"),
    "the last place is none of the sum": ("sum(x[:-1])", "sum(x)"),
    "a place that is off the axis of one": ("sum(where(x[i] > 0, x[i], 0), i)", "sum(x)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE_IDENTITIES)
def test_what_does_not_hold_is_refuted(name: str) -> None:
    assert judged("identity", *FALSE_IDENTITIES[name]).verdict == "refuted"


TRUE_IDENTITIES = [
    ("inv(A) @ A", "eye(n)", {}),
    ("eye(n)", "inv(A) @ A", {"domain": {"A": "invertible"}}),
    ("det(A @ B)", "det(A)*det(B)", {}),
    ("trace(A @ B @ A)", "trace(A @ A @ B)", {}),
    ("A", "A.T", {"domain": {"A": "symmetric"}}),
    ("sum(delta(i,j)*x[j], j)", "x[i]", {}),
    ("trace(eye(n))", "n", {}),
    ("inv(X.T @ X + s*eye(n)) @ X.T", "X.T @ inv(X @ X.T + s*eye(m))", {"domain": {"s": ">0"}}),
    (
        "inv(A + outer(x, y))",
        "inv(A) - inv(A) @ outer(x, y) @ inv(A)/(1 + y @ inv(A) @ x)",
        {"domain": {"A": "invertible"}, "where": ("1 + y @ inv(A) @ x != 0",)},
    ),
    ("sum(x[i]*x[j]*A[i,j] for i in n for j in n)", "x @ A @ x", {}),
    ("Sum(x[i], (i, 1, n))", "Sum(x[i], (i, 0, n-1))", {}),
    # determinants of updates of low rank
    ("det(eye(n) + outer(x, y))", "1 + x @ y", {}),
    ("det(2*eye(n) + 3*outer(x, y))", "2**n*(1 + 3/2*x @ y)", {}),
    ("det(eye(n) + outer(A @ x, B @ y))", "1 + (A @ x) @ (B @ y)", {}),
    ("det(eye(n) + X.T @ X)", "det(eye(m) + X @ X.T)", {}),
    ("det(eye(n) + A @ B)", "det(eye(n) + B @ A)", {}),
    ("det(A + outer(x, y))", "det(A)*(1 + y @ inv(A) @ x)", {"domain": {"A": "invertible"}}),
    ("det(A.T + outer(x, y))", "det(A)*(1 + x @ inv(A) @ y)", {"domain": {"A": "invertible"}}),
    ("inv(eye(n) + outer(x, y))", "eye(n) - outer(x, y)/(1 + x @ y)", {}),
    (
        "inv(A + outer(x, y))",
        "inv(A) - inv(A) @ outer(x, y) @ inv(A)/(1 + y @ inv(A) @ x)",
        {"domain": {"A": "invertible"}},
    ),
    (
        "inv(A + X.T @ X)",
        "inv(A) - inv(A) @ X.T @ inv(eye(m) + X @ inv(A) @ X.T) @ X @ inv(A)",
        {"domain": {"A": "invertible"}},
    ),
    ("logsumexp(x) - max(x)", "log(sum(exp(x - max(x))))", {}),
    # what moves entries
    ("flip(flip(x))", "x", {}),
    ("sum(flip(x)*y)", "sum(x*flip(y))", {}),
    ("flip(cumsum(flip(x)))", "revcumsum(x)", {}),
    ("roll(roll(x, 1), -1)", "x", {}),
    ("concatenate([x, y])[:n]", "x", {}),
    ("concatenate([x, y])[n:]", "y", {}),
    ("sum(concatenate([x, y]))", "sum(x) + sum(y)", {}),
    ("concatenate([x[:1], x[1:]])", "x", {}),
    ("stack([x, y])[1]", "y", {}),
    ("pad(x, (1, 2))[1:-2]", "x", {}),
    ("x[1:] - x[:-1]", "diff(x)", {}),
    ("sum(diff(x))", "x[-1] - x[0]", {}),
    ("sum(x[1:]) + x[0]", "sum(x)", {}),
    ("tril(A, 1) + triu(A, 2)", "A", {}),
    ("tensordot(A, B, axes=([1], [0]))", "A @ B", {}),
    ("tensordot(A, B)", "sum(A*B)", {}),
    ("adj(A) @ A", "det(A)*eye(n)", {}),
    ("1/(x*(1 - x))", "1/x + 1/(1 - x)", {}),
]


@pytest.mark.parametrize("left, right, more", TRUE_IDENTITIES)
def test_what_holds_is_proved(left: str, right: str, more: dict[str, Any]) -> None:
    assert judged("identity", left, right, **more).verdict == "proved"


STRICT = [
    ("vjp", "relu(x)", "g*(x > 0)", "no derivative"),
    ("vjp", "abs(x)", "g*sign(x)", "no derivative"),
    ("vjp", "sign(x)", "0*g", "no derivative"),
    ("vjp", "max(x)", "g*(x == max(x))", "no derivative"),
    ("vjp", "norm(x)*x", "outer(x, x) @ g/norm(x) + g*norm(x)", "the right side is undefined"),
    ("vjp", "det(A)", "g*det(A)*inv(A).T", None),
    ("vjp", "sum(relu(x) + x*abs(x))", "g*((x > 0) + 2*abs(x))", "no derivative"),
    ("vjp", "where(x > 0, where(x*y > 0, x, -x), -x)", "g*where(x > 0, sign(y), -1)", "no derivative"),
]


@pytest.mark.parametrize("kind, function, claim, reason", STRICT)
def test_points_without_derivative_and_points_without_value_count(
    kind: str, function: str, claim: str, reason: str | None
) -> None:
    verdict = judged(kind, function, claim, "A" if "A" in function else "x")
    assert verdict.verdict == "refuted" and verdict.reason == reason, verdict


SMOOTH = [
    ("huber(x)", "g*clip(x, -1, 1)"),
    ("mean(huber(x - y))", "g*clip(x - y, -1, 1)/n"),
    ("hardswish(x)*0 + celu(x, 2)", "g*where(x > 0, 1, exp(x/2))"),
    ("sum(x)*abs(sum(x))", "2*g*abs(sum(x))"),
    ("besselj(0, x)", "-g*besselj(1, x)"),
    ("erfinv(tanh(x))", "g*sqrt(pi)/2*exp(erfinv(tanh(x))**2)*(1 - tanh(x)**2)"),
]


@pytest.mark.parametrize("function, claim", SMOOTH)
def test_what_is_smooth_entry_by_entry_is_proved(function: str, claim: str) -> None:
    assert judged("vjp", function, claim, "x").verdict == "proved"
    assert judged("vjp", function, f"2*({claim})", "x").verdict == "refuted"


def test_smooth_cases_are_no_kinks() -> None:
    assert judged("vjp", "x*abs(x)", "2*g*abs(x)", "x").verdict == "proved"
    assert judged("vjp", "relu(x)**2", "2*g*relu(x)", "x").verdict == "proved"


JUMPS = [
    ("vjp", "floor(x)", "0*g", {}, "refuted"),
    ("jvp", "ceil(x)", "0*x_dot", {}, "refuted"),
    ("vjp", "sum(mod(x, 2))", "g*(x == x)", {}, "refuted"),
    ("vjp", "x*floor(x)", "g*floor(x)", {}, "refuted"),
    ("vjp", "floor(x)", "g", {}, "refuted"),
    ("vjp", "floor(x)", "0*g", {"domain": {"x": "(0, 1)"}}, "proved"),
    ("vjp", "floor(x/2)", "0*g", {"domain": {"x": "(0, 2)"}}, "proved"),
    ("vjp", "floor(x/2)", "0*g", {"domain": {"x": "(0, 3)"}}, "refuted"),
    ("vjp", "floor(x*y)", "0*g", {}, "refuted"),
    ("vjp", "floor(y)*x", "g*floor(y)", {}, "proved"),
    ("vjp", "abs(x)*(floor(x) + 1/2)", "g/2", {"domain": {"x": "(-1, 1)"}}, "proved"),
    ("vjp", "sum(sign(x))", "g*(x == x)", {}, "refuted"),
    ("vjp", "det(diag(relu(x)))", "g*(x > 0)", {}, "refuted"),
]


@pytest.mark.parametrize("kind, function, claim, more, wanted", JUMPS)
def test_a_floor_has_no_derivative_where_it_jumps(
    kind: str, function: str, claim: str, more: dict[str, Any], wanted: str
) -> None:
    verdict = judged(kind, function, claim, "x", **more)
    assert verdict.verdict == wanted, verdict


CLOSED = [
    ("relu(x)", "g", ">=0", "proved"),
    ("relu(x)", "g*(x > 0)", ">=0", "refuted"),
    ("relu(x)", "g", ">=-1", "refuted"),
    ("abs(x)", "-g", "<=0", "proved"),
    ("abs(x)", "-g", "<=1", "refuted"),
    ("clip(x, 0, 1)", "g", "[0, 1]", "proved"),
    ("clip(x, 0, 1)", "g", "[0, 2]", "refuted"),
]


@pytest.mark.parametrize("function, claim, domain, wanted", CLOSED)
def test_at_a_closed_end_one_side_counts(function: str, claim: str, domain: str, wanted: str) -> None:
    verdict = judged("vjp", function, claim, "x", domain={"x": domain})
    assert verdict.verdict == wanted, verdict


NO_HESSIAN = [
    ("sum(relu(x)**2)", "2*diag(x > 0)", {}, "refuted"),
    ("sum(relu(x)**2)", "2*diag(x > 0)", {"where": ("x != 0",)}, "proved"),
    ("sum(relu(x)**3)", "6*diag(relu(x))", {}, "proved"),
    ("sum(x*relu(x))", "2*diag(x > 0)", {}, "refuted"),
    ("sum(maximum(x - y, 0)**2)", "2*diag(x > y)", {}, "refuted"),
    ("relu(dot(x, y))**3", "6*relu(dot(x, y))*outer(y, y)", {}, "proved"),
    ("sum(huber(x))", "diag(abs(x) <= 1)", {}, "refuted"),
    ("sum(elu(x))", "diag(where(x > 0, 0, exp(x)))", {}, "refuted"),
    ("sum(abs(x)**3)", "6*diag(abs(x))", {}, "proved"),
]


@pytest.mark.parametrize("function, claim, more, wanted", NO_HESSIAN)
def test_there_is_no_hessian_at_a_kink_of_the_gradient(
    function: str, claim: str, more: dict[str, Any], wanted: str
) -> None:
    verdict = judged("hessian", function, claim, "x", **more)
    assert verdict.verdict == wanted, verdict


def test_kinks_of_the_gradient_by_another_variable_do_not_count() -> None:
    claim = Claim("", "sum(relu(x)**2*y)", ("x", "y"), "2*diag(relu(x))", kind="hessian", axes=VECTORS)
    assert judge_arrays(claim).verdict == "proved"
    assert judge_arrays(replace(claim, wrt=("x", "x"), claim="2*diag(y*(x > 0))")).verdict == "refuted"


HINTS = [
    ("jacobian", "x @ A @ x", "2*A @ x", "x", "right only for symmetric A"),
    ("vjp", "X + x", "g", "x", "not summed over m"),
    ("vjp", "sum(x**2)", "g*x", "x", "a factor 2 is missing"),
    ("vjp", "mean(x)", "g*(x == x)", "x", "a factor 1/n is missing"),
    ("vjp", "sum(x**2)", "-2*g*x", "x", "the sign is wrong"),
    ("jacobian", "X @ x", "X.T", "x", "transposed: the axes of the variable stand before"),
    ("jacobian", "tanh(x)", "1 - tanh(x)**2", "x", "the diagonal of the Jacobian"),
    (
        "jacobian",
        "softmax(x)*x",
        "softmax(x) + softmax(x)*(x - sum(softmax(x)*x))",
        "x",
        "gradient of the sum",
    ),
    ("vjp", "trace(A @ B)", "g*B", "A", "transposed"),
]


@pytest.mark.parametrize("kind, function, claim, by, hint", HINTS)
def test_hints(kind: str, function: str, claim: str, by: str, hint: str) -> None:
    verdict = judged(kind, function, claim, by)
    assert verdict.verdict == "refuted"
    assert any(hint in note for note in verdict.notes), verdict.notes


UNREADABLE = {
    "max(x, 0)": "can be read as `maximum(x, 0)`",
    "A^2": "can be read as a power of the matrix or entry by entry",
    "norm(A, 2)": "can be read as its largest singular value",
    "foo(x)": "there is no function 'foo'",
    "x[i, j]": "2 subscripts behind an array of axes [n]",
    "sum(x, q)": "'q' is neither an index inside sum nor an axis",
    "__import__('os')": "there is no function '__import__'",
    "x.shape": "there is no attribute 'shape'",
    "sum(" * 60 + "x" + ")" * 60 + "**9999999": "too large",
    "(" * 200: "nested more than 80 deep",
    "": "the formula is empty",
    "delta(i, j)": "the axis of an index is not known",
    "x[::2]": "a slice is read with step 1",
    "x[20:]": "would need 20 places",
    "pad(A, 1)": "every axis, `np.pad` (NumPy), or of the last ones, `F.pad` (PyTorch)",
    "kl_div(x, x)": "PyTorch's loss of log-probabilities",
    "A.var()": "the mean of the squares (NumPy) or their sum over n - 1 (PyTorch)",
    "leaky_relu(x, beta=1)": "leaky_relu has no argument 'beta'",
    "Sum(x[i], (i, 1, 3))": "over all places of an axis",
    "concatenate(x)": "a list of arrays was expected",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_says_why(text: str) -> None:
    with pytest.raises(ParseError, match=re.escape(UNREADABLE[text])):
        judged("identity", text, "x")


def test_axes_that_differ_at_some_sizes_refute_a_claim() -> None:
    verdict = judged("vjp", "X @ x", "X @ g", "x")
    assert verdict.verdict == "refuted"
    assert verdict.witness is not None and verdict.witness.right == "undefined"
    assert dict(verdict.witness.point) == {"n": "2", "m": "3"}


SYMMETRIC = [
    ("trace(A @ B)", "B.T", "proved"),
    ("trace(A @ B)", "B", "refuted"),
    ("x @ A @ y", "outer(x, y)", "proved"),
    ("x @ A @ y", "outer(y, x)", "refuted"),
    ("logdet(A)", "inv(A)", "proved"),
]


@pytest.mark.parametrize("structure", ["symmetric", "positive definite"])
@pytest.mark.parametrize("function, claim, verdict", SYMMETRIC)
def test_a_symmetric_matrix_is_differentiated_by_each_entry(
    structure: str, function: str, claim: str, verdict: str
) -> None:
    assert judged("jacobian", function, claim, "A", domain={"A": structure}).verdict == verdict


@pytest.mark.parametrize("name", ["x", "y", "n", "c"])
def test_the_cotangent_is_nothing_else(name: str) -> None:
    with pytest.raises(ParseError, match="is the cotangent and something else"):
        judged("vjp", "c*x*y", f"{name}*y", "x", cotangent=name, domain={"c": "real"})


def test_the_names_of_indices_do_not_matter() -> None:
    for one, other in (("i", "j"), ("_1_0", "_1_1"), ("b", "a")):
        claim = f"sum((A[{one},{other}] + A[{other},{one}])*x[{other}], {other})"
        assert judged("jacobian", "x @ A @ x", claim, "x").verdict == "proved"
        wrong = f"sum((A[{one},{other}] + A[{one},{other}])*x[{other}], {other})"
        assert judged("jacobian", "x @ A @ x", wrong, "x").verdict == "refuted"


def test_free_indices_are_in_alphabetical_order_unless_they_are_named() -> None:
    assert judged("jacobian", "trace(A @ B)", "B[j,i]", "A").verdict == "proved"
    assert judged("jacobian", "trace(A @ B)", "B[j,i]", "A[i,j]").verdict == "proved"
    assert judged("jacobian", "trace(A @ B)", "B[j,i]", "A[j,i]").verdict == "refuted"
    assert judged("vjp", "y1[p,q] = sum(A[p,r]*B[r,q], r)", "sum(g[i,q]*B[j,q], q)", "A").verdict == "proved"


def test_a_claim_with_an_axis_of_size_1_is_the_same_along_it() -> None:
    assert judged("vjp", "sum(X, axis=1)", "g[:,None]", "X").verdict == "proved"
    assert judged("vjp", "mean(X, axis=0)", "g[None,:]/m", "X").verdict == "proved"
    assert judged("vjp", "mean(X, axis=0)", "g[None,:]/n", "X").verdict == "refuted"


def test_a_name_that_the_function_does_not_have_is_refused() -> None:
    with pytest.raises(ParseError, match="'q' is neither declared nor in the function"):
        judged("vjp", "s*x", "g*q", "x")


def test_kinks_of_kinks_are_taken_away() -> None:
    where = ("x != 0", "x != 1")
    claim = "g*((x > 0) & (x < 1))"
    assert judged("vjp", "clip(x, 0, 1)", claim, "x", where=where).verdict == "proved"
    assert judged("vjp", "clip(x, 0, 1)", claim, "x").verdict == "refuted"
    assert judged("vjp", "clip(x, 0, 1)", "g*(x > 0)", "x", where=where).verdict == "refuted"


FREE = [
    ("identity", "", "x[i]", "x[j]", "refuted"),
    ("identity", "", "x[i]*y[i]", "x[j]*y[j]", "refuted"),
    ("identity", "", "sum(x)", "sum(x) + 0*y[i]", "proved"),
    ("identity", "", "sum(x)", "x[i]", "refuted"),
    ("identity", "", "x", "x[i]", "proved"),
    ("identity", "", "x[i] + 0*y[j]", "x[i]", "proved"),
    ("jacobian", "x", "y1[i] = sum(x[j]*y[j], j) + 0*y[i]", "y[j]", "proved"),
    ("jacobian", "x", "y1[i] = sum(x[j]*y[j], j) + 0*y[i]", "y[i]", "refuted"),
    ("jacobian", "x", "y1[i] = x[i]*y[i]", "y[i]", "refuted"),
    ("jacobian", "x", "y1[i] = x[i]*y[i]", "delta(i, j)*y[j]", "proved"),
    ("identity", "", "1", "det(A)/det(A)", "refuted"),
    ("identity", "", "inv(A @ A)", "inv(A) @ inv(A)", "proved"),
]


@pytest.mark.parametrize("kind, by, function, claim, verdict", FREE)
def test_free_indices_are_not_confused(kind: str, by: str, function: str, claim: str, verdict: str) -> None:
    assert judged(kind, function, claim, by).verdict == verdict


def test_an_index_of_two_axes_is_refused() -> None:
    with pytest.raises(ParseError, match="the index i runs over another axis"):
        judged("jacobian", "y1[i] = sum(X[i,j]*x[j], j)", "x[i]*X[j,i]", "x")


PRODUCTS = [
    ("prod(x)", "g*prod(x)/x", {}, "refuted"),
    ("prod(x)", "g*prod(x)*x", {"where": ("x != 0",)}, "refuted"),
    ("prod(x)", "g*prod(x)/x", {"where": ("x != 0",)}, "proved"),
    ("prod(x)", "g*prod(x)/x", {"domain": {"x": ">0"}}, "proved"),
    ("cumprod(x)", "revcumsum(g*cumprod(x))/x", {"domain": {"x": ">0"}}, "proved"),
    ("cumprod(x)", "cumsum(g*cumprod(x))/x", {"domain": {"x": ">0"}}, "refuted"),
    ("cumprod(x)", "cumsum(g*cumprod(x))/x", {"where": ("x != 0",)}, "refuted"),
]


@pytest.mark.parametrize("function, claim, more, verdict", PRODUCTS)
def test_products_over_an_axis(function: str, claim: str, more: dict[str, Any], verdict: str) -> None:
    assert judged("vjp", function, claim, "x", **more).verdict == verdict


SPREAD = "g*(x - mean(x))/(n*std(x))"


def test_of_one_number_a_standard_deviation_tells_nothing() -> None:
    found = judge_arrays(Claim("a", "std(x)", ("x",), SPREAD, axes={"x": ("n",)}, kind="vjp"))
    assert found.verdict == "proved" and found.ground is not None
    assert found.ground.sizes == ("n >= 2",)
    assert found.notes == ("at n = 1 the claim has no value",)
    alone = judge_arrays(
        Claim("b", "std(x)", ("x",), SPREAD.replace("n*", ""), axes={"x": ("1",)}, kind="vjp")
    )
    assert alone.verdict == "refuted"  # a constant has the derivative 0
    rows = judge_arrays(Claim("c", "norm(x)", ("x",), "g*x/norm(x)", axes={"x": ("n",)}, kind="vjp"))
    assert rows.ground is not None and rows.ground.sizes == ("n >= 1",)
