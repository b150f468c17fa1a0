"""Angles that inverses give back, multiples of pi, floors of what is not linear: each with a near miss."""

from __future__ import annotations

import pytest

from gradproof.symbolic.statements import prove_text

PROVED = [
    # multiples of an inverse
    ("sin(2*atan(x))", "2*x/(1 + x**2)", "x: real"),
    ("cos(2*atan(x))", "(1 - x**2)/(1 + x**2)", "x: real"),
    ("cos(3*asin(x))", "(1 - 4*x**2)*sqrt(1 - x**2)", "x: [-1, 1]"),
    ("tan(x/2)", "(1 - cos(x))/sin(x)", "x: (0, 3)"),
    # an inverse of its function
    ("acos(cos(x))", "x", "x: [0, 3]"),
    ("acos(cos(x))", "abs(x)", "x: [-3, 3]"),
    ("asin(sin(x))", "3*asin(1)*2/3 - x", "x: [2, 4]"),
    ("asin(sin(x))", "pi - x", "x: [2, 4]"),
    ("asin(sin(x))", "-pi - x", "x: [-4, -2]"),
    ("atan(tan(x))", "x - pi", "x: [2, 4]"),
    ("acos(cos(x))", "2*pi - x", "x: [4, 6]"),
    ("acos((1 - x**2)/(1 + x**2))", "2*atan(x)", "x: [0, inf)"),
    ("2*asin(sqrt(x))", "acos(1 - 2*x)", "x: [0, 1]"),
    # on a domain that ends at a multiple of pi, or where roots have no sign
    ("tan(x/2)", "sin(x)/(1 + cos(x))", "x: (-pi, pi)"),
    ("acos(cos(x))", "x", "x: [0, pi]"),
    ("asin(sin(x))", "x", "x: |x| <= pi/2"),
    ("sqrt(sin(x)**2)", "sin(x)", "x: [0, pi]"),
    ("sqrt(1 - sin(x)**2)", "cos(x)", "x: [-pi/2, pi/2]"),
    ("log(sin(x)**2)", "2*log(sin(x))", "x: (0, pi)"),
    ("sqrt((x**3 - x)**2)", "x**3 - x", "x: [-1, 0]"),
    ("d/dx log(tan(x) + 1/cos(x))", "1/cos(x)", "x: (-pi/2, pi/2)"),
    ("d/dx abs(sin(x))", "cos(x)", "x: [0, pi]"),
    ("atan(cot(x))", "pi/2 - x", "x: (0, pi)"),
    # kinks without end, through windows of full turns
    ("d/dx abs(sin(x))**3", "3*sin(x)*abs(sin(x))*cos(x)", "x: real"),
    ("d/dx Max(sin(x), 0)**2", "2*sin(x)*cos(x)*Heaviside(sin(x), 0)", "x: [0, inf)"),
    ("sqrt(sin(2*x)**2)", "2*abs(sin(x)*cos(x))", "x: real"),
    ("floor(sigmoid(x))", "0", "x: real"),
    ("floor(tanh(x))", "0", "x: [0, inf)"),
    # whole multiples of pi
    ("cos(2*pi*n)", "1", "n: integer"),
    ("cos(x + 2*pi*n)", "cos(x)", "n: integer"),
    ("(-1)**(2*n + 1)", "-1", "n: integer >= 0"),
    ("(-1)**(n*(n + 1))", "1", "n: integer >= 0"),
    ("(-1)**(n**2)", "(-1)**n", "n: integer >= 0"),
    ("cos(pi*n)", "2*cos(pi*n/2)**2 - 1", "n: integer"),
    # exponents that are whole, though not by their coefficients
    ("(-1)**floor(x)", "-(-1)**floor(x + 1)", "x: real"),
    ("Mod(n*(n + 1), 2)", "0", "n: integer"),
    ("x**(2*n)", "(-x)**(2*n)", "x: real; n: integer >= 0"),
    ("abs(x)**(2*n)", "x**(2*n)", "x: real; n: integer >= 1"),
    ("sqrt(x**4)", "x**2", "x: real"),
    # floors
    ("floor(sin(x))", "0", "x: [0, 3/2]"),
    ("floor(2*sin(x))", "1", "x: [3/5, 3/2]"),
    ("d/dx floor(sqrt(x))", "0", "x: [1, 4)"),
    ("d/dx floor(log(x))", "0", "x: (1, 2.7)"),
    ("d/dx x*floor(1/x)", "1", "x: (1/2, 1)"),
    ("d/dx Mod(x**3, 1)", "3*x**2", "x: (0, 1)"),
]
REFUTED = [
    ("x**(n*(n - 1)/2)", "abs(x)**(n*(n - 1)/2)", "x: real; n: integer >= 0"),
    ("(-1)**(n*(n + 1)/2)", "1", "n: integer >= 0"),
    ("1", "(-1)**(n*(n + 1)/4)", "n: integer >= 0"),
    ("(-1)**floor(x)", "(-1)**floor(x + 1)", "x: real"),
    ("Mod(n*(n + 1), 4)", "0", "n: integer"),
    ("sin(2*atan(x))", "2*x/(1 - x**2)", "x: real"),
    ("sin(2*atan(x))", "x/(1 + x**2)", "x: real"),
    ("tan(x/2)", "sin(x)/(1 - cos(x))", "x: (0, 3)"),
    ("acos(cos(x))", "x", "x: [0, 4]"),
    ("acos(cos(x))", "x", "x: [-1, 1]"),
    ("asin(sin(x))", "pi - x", "x: [1, 4]"),
    ("asin(sin(x))", "pi - x", "x: [2, 5]"),
    ("atan(tan(x))", "x", "x: [2, 4]"),
    ("acos((1 - x**2)/(1 + x**2))", "2*atan(x)", "x: real"),
    ("2*asin(sqrt(x))", "acos(2*x - 1)", "x: [0, 1]"),
    ("acos(cos(x))", "x", "x: [0, 3.15]"),
    ("atan(cot(x))", "pi/2 - x", "x: (0, 4)"),
    ("d/dx abs(sin(x))", "sign(sin(x))*cos(x)", "x: real"),
    ("d/dx abs(cos(x))", "-sign(cos(x))*sin(x)", "x: real"),
    ("d/dx Max(sin(x), 0)**2", "2*sin(x)*cos(x)", "x: [0, inf)"),
    ("d/dx Max(sin(3*x), 0)", "3*cos(3*x)*Heaviside(sin(3*x), 0)", "x: real"),
    ("sqrt(sin(2*x)**2)", "2*sin(x)*cos(x)", "x: real"),
    ("floor(tanh(x))", "0", "x: real"),
    ("tan(x/2)", "(1 - cos(x))/sin(x)", "x: (-pi, pi)"),
    ("sqrt(sin(x)**2)", "sin(x)", "x: [0, 3.15]"),
    ("sqrt(1 - sin(x)**2)", "cos(x)", "x: [-pi/2, pi]"),
    ("log(sin(x)**2)", "2*log(sin(x))", "x: (0, 2*pi)"),
    ("sqrt((x**3 - x)**2)", "x**3 - x", "x: [-1, 1]"),
    ("d/dx abs(sin(x))", "cos(x)", "x: [0, pi + 1]"),
    ("cos(2*pi*x)", "1", "x: real"),
    ("cos(pi*n)", "1", "n: integer"),
    ("cos(pi*sqrt(n))**2", "1", "n: integer >= 1"),
    ("cos(pi*n/2)**2", "1", "n: integer"),
    ("(-1)**(n*(n + 2))", "1", "n: integer >= 0"),
    ("(-1)**(n**2 + 1)", "(-1)**n", "n: integer >= 0"),
    ("x**n", "(-x)**n", "x: real; n: integer >= 0"),
    ("abs(x)**n", "x**n", "x: real; n: integer >= 1"),
    ("sqrt(x**6)", "x**3", "x: real"),
    ("floor(sin(x))", "0", "x: [0, 2]"),
    ("floor(2*sin(x))", "1", "x: [1/2, 3/2]"),
    ("d/dx floor(sqrt(x))", "0", "x: [1, 4]"),
    ("d/dx floor(log(x))", "0", "x: (1, 2.72)"),
    ("d/dx floor(1/x)", "0", "x: (0, inf)"),
    ("d/dx floor(x**2)", "0", "x: real"),
    ("d/dx floor(x*y)", "0", "x: real; y: real"),
    ("d/dx Mod(x**3, 1)", "3*x**2", "x: (0, 1.1)"),
]


@pytest.mark.parametrize(("left", "right", "domain"), PROVED)
def test_holds(left: str, right: str, domain: str) -> None:
    assert prove_text(left, right, domain).verdict == "proved"


@pytest.mark.parametrize(("left", "right", "domain"), REFUTED)
def test_does_not_hold(left: str, right: str, domain: str) -> None:
    assert prove_text(left, right, domain).verdict == "refuted"


WHERE_A_FACTOR_IS_ZERO = [
    ("sqrt(x**2*y)", "sqrt(x**2)*sqrt(y)", "x: real; y: real"),
    ("sqrt(x**4*y)", "x**2*sqrt(y)", "x: real; y: real"),
    ("sqrt(x*y)", "sqrt(x)*sqrt(y)", "x: [0, inf); y: real"),
    ("(x**2*y)**(1/3)", "(x**2)**(1/3)*y**(1/3)", "x: real; y: real"),
]


@pytest.mark.parametrize(("left", "right", "domain"), WHERE_A_FACTOR_IS_ZERO)
def test_a_product_under_a_root_tells_no_sign_where_a_factor_is_0(left: str, right: str, domain: str) -> None:
    found = prove_text(left, right, domain)
    assert found.verdict == "refuted" and found.witness is not None
    assert dict(found.witness.point) == {"x": "0", "y": "-1"}


def test_a_product_under_a_root_tells_a_sign_where_no_factor_is_0() -> None:
    assert prove_text("sqrt(x*y)", "sqrt(x)*sqrt(y)", "x: (0, inf); y: real").verdict == "proved"
