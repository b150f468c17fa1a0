"""Reading what people type: formulas, what is no formula, and what is meant to do harm."""

from __future__ import annotations

import time

import pytest

from gradproof.symbolic.claims import Reader, parse_side, split_prefix
from gradproof.symbolic.claims_latex import parse_latex_side
from gradproof.symbolic.domain_ends import read_domains
from gradproof.symbolic.formulas import written
from gradproof.symbolic.proof import prove_text
from gradproof.symbolic.scalar_functions import TABLE, WITHOUT_ROW
from gradproof.symbolic.scalar_table import NoRowError
from gradproof.symbolic.syntax import MAX_DEPTH, ParseError, parse


def read(text: str) -> str:
    return written(Reader({}).formula(parse(text)).value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-x**2", "-x**2"),
        ("2**3**2", "512"),
        ("2**-1", "1/2"),
        ("1/3*3", "1"),
        ("0.1+0.2", "3/10"),
        (".5e-2*1e2", "1/2"),
        ("--x", "x"),
        ("-x*-y", "x*y"),
        ("x-y-z", "x - y - z"),
        ("x/y/z", "x/(y*z)"),
        ("x^2", "x**2"),
        ("(x)", "x"),
        ("sqrt(4)", "2"),
        ("8**(1/3)", "2"),
        ("exp(x)", "exp(x)"),
        ("E**x", "exp(x)"),
        ("log(x, 10)", "log(x)/log(10)"),
        ("x_1 + éta", "x_1 + éta"),
    ],
)
def test_reads(text: str, value: str) -> None:
    assert read(text) == value


def test_demands_outlive_what_cancels() -> None:
    formula = Reader({}).formula(parse("x**2/x + 0*log(y)"))
    assert written(formula.value) == "x"
    assert [str(d) for d in formula.demands] == ["x != 0", "y > 0"]


def test_demands_of_a_case_are_asked_for_in_that_case_only() -> None:
    formula = Reader({}).formula(parse("Piecewise((log(x), x > 0), (1/y, True))"))
    assert [(d.subject.key, len(d.guards)) for d in formula.demands] == [("x", 1), ("y", 1)]


def test_conditions() -> None:
    reader = Reader({})
    for text in ("x > 0", "0 < x <= 1", "not x > 0 and y == 1", "And(x > 0, Or(Eq(y, 1), Ne(y, 2)))", "True"):
        reader.condition(parse(text))


@pytest.mark.parametrize(
    ("text", "by", "rest"),
    [
        ("d/dx x", ("x",), "x"),
        ("  d/dx(x)", ("x",), "(x)"),
        ("d2/dx2 x", ("x", "x"), "x"),
        ("d^2/dx^2 x", ("x", "x"), "x"),
        ("d**2/dx**2 x", ("x", "x"), "x"),
        ("d2/dx12 x1", ("x1", "x1"), "x1"),
        ("d/dx d/dy x*y", ("x", "y"), "x*y"),
        ("d/dlong_name 1", ("long_name",), "1"),
        ("x d/dx", (), "x d/dx"),
        ("d/2", (), "d/2"),
    ],
)
def test_derivatives_in_front(text: str, by: tuple[str, ...], rest: str) -> None:
    assert split_prefix(text) == (by, rest)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("1 +", 4, "a number or a name"),
        ("x $ y", 3, "'$'"),
        ("x y", 3, "an operator"),
        ("2(x)", 2, "an operator"),
        ("sin(x", 6, "`)`"),
        ("sin(x))", 7, "the end"),
        ("x.y", 1, "an attribute where a number"),
        ("x[0]", 1, "entries of an array"),
        ("'x'", 1, "a text where a number"),
        ("x if y else z", 6, "a number where a condition"),
        ("lambda: x", 7, "':'"),
        ("x := 1", 3, "':'"),
        ("f(x)", 1, "no function 'f'"),
        ("sigmod(x)", 1, "sigmoid"),
        ("1 + sin", 5, "needs an argument"),
        ("sin(x, y)", 1, "takes 1 argument"),
        ("clamp(x)", 1, "takes 2 to 3 argument"),
        ("e**x", 1, "ambiguous"),
        ("I*x", 1, "imaginary"),
        ("inf", 1, "infinity"),
        ("Piecewise((x, y), (0, True))", 15, "a number where a condition"),
        ("Piecewise(x)", 11, "(value, condition)"),
        ("Piecewise()", 1, "without a case"),
        ("(x, x > 0)", 1, "a list where a number"),
        ("where(x, 1, 2)", 7, "a number where a condition"),
        ("x @ x", 1, "multiplies arrays"),
        ("leaky_relu(x, beta=1)", 15, "no argument 'beta'"),
        ("elu(x, 1, alpha=1)", 11, "given twice"),
        ("clamp(min=0)", 1, "takes 2 to 3 argument"),
        ("gelu(x, approximate='erf')", 9, "by 'tanh' or not"),
        ("tanh(x, out=y)", 9, "no argument 'out'"),
        ("nn.gelu(x)", 1, "approximated by tanh in JAX"),
        ("math.remainder(x, 2)", 1, "rounds to the nearest"),
        ("math.inf", 1, "infinity"),
        ("1_x", 2, "an operator"),
        ("1j*x", 2, "an operator"),
        ("torch.nn", 1, "a module where a number"),
        ("__class__", 1, "no variable"),
        ("sqrt(x)(y)", 8, "an operator"),
    ],
)
def test_points_at_what_cannot_be_read(text: str, column: int, said: str) -> None:
    with pytest.raises(ParseError) as problem:
        Reader({}).formula(parse(text))
    assert str(problem.value).startswith(f"column {column}:")
    assert said in str(problem.value)


@pytest.mark.parametrize("text", ["d2/dx x", "d2/dx3 x", "d/dx", "d/dx d/dx d/dx d/dx d/dx x", "", "   "])
def test_is_no_side(text: str) -> None:
    with pytest.raises(ParseError):
        parse_side(text)


HOSTILE = [
    "__import__('os').system('true')",
    "().__class__.__bases__",
    "10**10**10",
    "9**9**9**9",
    "x**10**9",
    "2**(2**(2**(2**(2**2))))",
    "1e999999999",
    "1" * 3000,
    "(" * 2000 + "x" + ")" * 2000,
    "-" * 3000 + "x",
    "x**" * 500 + "x",
    "sin(" * 300 + "x" + ")" * 300,
    "Abs(" * 60 + "x" + ")" * 60,
    "Max(" * 30 + "x" + ", y)" * 30,
    "x+" * 10**6 + "x",
    "((((1+x)**1000)**1000)**1000)**1000",
    "Piecewise(" + "(x, x > 0)," * 600 + "(0, True))",
    "\0",
    "x\\\ny",
    "{x}",
    "`x`",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_ends_quickly_in_a_clear_error(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ValueError, match=r"column|characters|large|side") as problem:
        prove_text(text, "x")
    assert len(str(problem.value)) < 300
    assert time.perf_counter() - started < 2


HARD = [
    ("exp(exp(exp(exp(exp(exp(x))))))", "exp(x)"),
    ("(x+y+z+w+1)**60", "(x+y+z+w)**60"),
    ("sin(1000000000*x)", "cos(x)"),
    ("x**999", "x**998"),
    ("exp(0.123456789*x)+exp(0.987654321*x)", "exp(x)"),
    ("(1+x)**999", "(1+x)**998"),
    ("+".join(f"exp(x{n})" for n in range(60)), "0"),
    ("*".join(f"Max(x{n}, y{n})" for n in range(8)), "1"),
    ("log(log(log(log(x))))", "x"),
    ("x**0.37*x**0.63", "x**0.999"),
]


@pytest.mark.parametrize(("left", "right"), HARD, ids=range(len(HARD)))
def test_large_but_readable_input_ends_in_time(left: str, right: str) -> None:
    started = time.perf_counter()
    assert prove_text(left, right).verdict in ("refuted", "undecided")
    assert time.perf_counter() - started < 10


def test_unknown_functions_are_undecided_by_name() -> None:
    verdict = prove_text("hankel1(0, x)", "x")
    assert verdict.verdict == "undecided"
    assert "hankel1" in (verdict.reason or "")
    with pytest.raises(NoRowError, match="meijerg"):
        Reader({}).formula(parse("meijerg(0, x)"))


def test_the_tables_do_not_overlap() -> None:
    assert not set(TABLE) & WITHOUT_ROW


BEYOND_ONE = "(5, 6)"
BELOW_ONE = "(1/4, 1/3)"
CALLS = {
    **{name: {"x": BEYOND_ONE} for name in ("acosh", "asec", "acsc", "acoth")},
    "logsubexp": {"x": BEYOND_ONE},
    "polylog": {"y": BELOW_ONE},
    **{name: {"y": BELOW_ONE} for name in ("elliptic_e", "elliptic_f", "elliptic_e_inc")},
    "betainc_lower": {"z": BELOW_ONE},
    "betainc": {"z": BELOW_ONE, "w": BELOW_ONE},
    "betainc_regularized": {"z": BELOW_ONE, "w": BELOW_ONE},
    "hyp2f1": {"w": BELOW_ONE},
    "multigammaln": {"x": "(2, 3)", "y": "2"},
    "lambertw": {"y": "0"},
}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_function_of_the_table_can_be_called(name: str) -> None:
    row = TABLE[name]
    own = next((CALLS[other] for other in CALLS if TABLE[other] is row), {})
    for count in {row.least, min(row.most, 4)}:
        names = ["x", "y", "z", "w"][:count]
        domains = {"x": "(1/3, 1/2)", "y": "(2, 3)", "z": "(4, 5)", "w": "(1/4, 1/3)", **own}
        text = f"{name}({', '.join(domains[n] if domains[n].isdigit() else n for n in names)})"
        if name in ("where", "select", "ITE"):
            text = text.replace("x", "x > 0")
        given = {n: domains[n] for n in names if not domains[n].isdigit()}
        verdict = prove_text(text, text, given)
        assert verdict.verdict == "proved", (text, verdict.reason)


def test_sides_are_named_in_errors() -> None:
    with pytest.raises(ParseError, match="right side: column 1"):
        prove_text("x", "$")
    with pytest.raises(ValueError, match="no domain"):
        prove_text("x", "x", "x: somewhere")


# --- LaTeX


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (r"\frac{d}{dx} \tanh x", r"1-\tanh^2 x"),
        (r"\frac{d}{dx} \sigma(x)", r"\sigma(x)(1-\sigma(x))"),
        (r"\dfrac{\mathrm{d}}{\mathrm{d} x} \log(1+e^{x})", r"\frac{1}{1+e^{-x}}"),
        (r"\frac{\partial}{\partial x} \ln|x|", r"\frac{1}{x}"),
        (r"\frac{d^2}{dx^2} x^3", "6x"),
        (r"$|x|$", r"$\sqrt{x^2}$"),
        (r"\left| x - y \right|", r"\max(x, y) - \min(x, y)"),
        (r"\sin x \cos x", r"\frac12 \sin(2x)"),
        (r"\frac{d}{dx}\left(\frac{x}{1+e^{-x}}\right)", r"\sigma(x) + x \sigma(x)\,(1-\sigma(x))"),
        (r"\operatorname{softplus}(x)", r"\log\left(1 + \exp(x)\right)"),
        (r"\frac{d}{dx} \max(0, x)", r"\begin{cases} 1 & x > 0 \\ 0 & \text{if } x < 0 \end{cases}"),
        (r"\mathrm{ReLU}(x)", r"\begin{cases} x & \text{if } x \geq 0 \\ 0 & \text{otherwise} \end{cases}"),
        (r"x_{1} \cdot x_2", r"x_2 \times x_1"),
        (r"\alpha e^{\alpha x}", r"\alpha \exp(\alpha x)"),
        (r"\sqrt[3]{x}", r"x^{1/3}"),
        (r"2\pi x", r"2x\pi"),
        (r"\log x^2", r"2\log|x|"),
        (r"\lvert x \rvert^2", "x^2"),
        (r"\frac{1}{2}\left(1+\operatorname{erf}\left(\frac{x}{\sqrt{2}}\right)\right)",
         r"\frac{1}{2} + \frac{1}{2}\operatorname{erf}(x/\sqrt2)"),
    ],
)  # fmt: skip
def test_latex_is_read(left: str, right: str) -> None:
    assert prove_text(left, right, latex=True).verdict == "proved"


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        (r"\sin x y", (r"(\sin x) y", r"\sin(x y)")),
        (r"\sin 2x", (r"(\sin 2) x", r"\sin(2 x)")),
        ("1/2x", ("(a/b) x", "a/(b x)")),
        (r"\sin^{-1} x", ("the inverse of", "1/")),
        ("x^23", ("^{2} 3", "^{23}")),
        ("f(x)", ("a product", "a function")),
    ],
)
def test_ambiguous_latex_is_refused_with_the_readings(text: str, readings: tuple[str, ...]) -> None:
    with pytest.raises(ParseError) as problem:
        parse_latex_side(text)
    for reading in readings:
        assert reading in str(problem.value)


@pytest.mark.parametrize(
    "text",
    ["", "$$", "(x", "x)", r"\frac{1}", r"\sum_i x_i", r"\foo", "x +", r"\begin{cases} x \end{cases}", "x'",
     r"\operatorname{nothing}(x)", r"\sqrt", "{" * 200, r"\sin" * 500, r"\frac" * 900, "x^", "x_", "|x",
     r"\text{x", "#", r"\frac{d}{dx^2} x", "-" * 500 + "x", "^" * 10],
)  # fmt: skip
def test_broken_latex_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_latex_side(text)


def test_depth_is_bounded_alike() -> None:
    deep = "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1)
    for reader in (parse_side, parse_latex_side):
        with pytest.raises(ParseError, match="deep"):
            reader(deep)


def test_domains_make_names_usable() -> None:
    reader = Reader(read_domains("e: >0")[0])
    assert written(reader.formula(parse("e**2")).value) == "e**2"
