r"""The parser of scalar formulas in LaTeX: recursive descent over tokens.

The grammar, with juxtaposition as a product and `\tanh x` as a function of one factor:

    sum      = ["+" | "-"] product {("+" | "-") product}
    product  = power {["\cdot" | "\times" | "/"] power}
    power    = atom ["^" group]
    atom     = number | name | "\frac" group group | "\sqrt" ["[" number "]"] group | "e" "^" group
             | function ["^" group] (group-in-parentheses | atom) | parentheses | bars | cases
    cases    = "\begin{cases}" sum "&" condition {"\\" sum "&" condition} "\end{cases}"

What has more than one reading is refused, with the readings: `\sin x y`, `1/2x`, `\sin^{-1} x`, `f(x)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradproof.symbolic.latex_tokens import LatexToken
from gradproof.symbolic.scalar_functions import TABLE, WITHOUT_ROW
from gradproof.symbolic.syntax import MAX_DEPTH, ParseError, Syntax

_LETTERS = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho tau upsilon
phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
"""


_GREEK = frozenset(_LETTERS.split())


_NAMED = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "coth": "coth",
    "exp": "exp", "log": "log", "ln": "log", "max": "Max", "min": "Min", "sigma": "sigmoid",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "Gamma": "gamma",
}  # fmt: skip


_APPLIED = {"Phi": "normcdf", "psi": "digamma", "zeta": "zeta"}
"""Letters that are functions where a parenthesis follows, and variables elsewhere."""


_ROUNDED = {"lfloor": "floor", "lceil": "ceiling"}


_WORDS = {"relu": "relu", "gelu": "gelu", "silu": "silu", "elu": "elu", "sgn": "sign", "sech": "sech"}


_UPRIGHT = frozenset(("operatorname", "mathrm", "text", "textrm", "mathit", "mathsf", "mathbf", "mathop"))


_RELATIONS = {
    "<": "<", ">": ">", "=": "==", "==": "==", "!=": "!=", "<=": "<=", ">=": ">=",
    r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\ge": ">=",
    r"\geq": ">=", r"\geqslant": ">=", r"\ne": "!=", r"\neq": "!=", r"\lt": "<", r"\gt": ">",
}  # fmt: skip


_AND = (",", r"\land", r"\wedge")


_TIMES = (r"\cdot", r"\times", "*", r"\ast")


_CLOSING = (r"\\", r"\}", r"\rvert", r"\rfloor", r"\rceil")


_OTHERWISE = frozenset(("otherwise", "else"))


@dataclass
class LatexParser:
    """Recursive descent over the tokens of a formula."""

    tokens: list[LatexToken]
    text: str
    at: int = 0
    bars: int = 0
    depth: int = 0

    # --- tokens

    def ahead(self) -> str:
        """The text of the next token."""
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    @property
    def column(self) -> int:
        return self.tokens[self.at].column if self.at < len(self.tokens) else len(self.text) + 1

    def take(self) -> LatexToken:
        if self.at >= len(self.tokens):
            raise self.problem("more")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, text: str) -> None:
        if self.ahead() != text:
            raise self.problem(f"`{text}`")
        self.at += 1

    def problem(self, wanted: str) -> ParseError:
        found = f"found {self.ahead()!r}" if self.ahead() else "the formula ends"
        return ParseError(f"column {self.column}: {found} where {wanted} was expected")

    def ambiguous(self, shown: str, first: str, second: str) -> ParseError:
        return ParseError(f"column {self.column}: `{shown}` can be read as {first} or as {second}")

    # --- grammar

    def sum(self) -> Syntax:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ParseError(f"column {self.column}: nested more than {MAX_DEPTH} deep")
        column, signs, parts = self.column, list[str](), list[Syntax]()
        if self.ahead() in ("+", "-"):
            sign = self.take().text
            parts.append(Syntax("sign", sign, (self.product(),), column))
        else:
            parts.append(self.product())
        while self.ahead() in ("+", "-"):
            signs.append(self.take().text)
            parts.append(self.product())
        self.depth -= 1
        return parts[0] if not signs else Syntax("chain", " ".join(signs), tuple(parts), column)

    def product(self) -> Syntax:
        column, signs = self.column, list[str]()
        parts = [self.power()]
        bare = self.bare
        while True:
            if self.ahead() in _TIMES or self.ahead() == "/":
                sign = self.take().text
                signs.append("/" if sign == "/" else "*")
                inner = self.column
                negative = self.ahead() == "-"
                if negative:
                    raise ParseError(f"column {inner}: put a negative factor in parentheses")
                parts.append(self.power())
            elif self.starts_factor():
                self.check_juxtaposed(parts[-1], signs, bare)
                signs.append("*")
                parts.append(self.power())
            else:
                break
            bare = self.bare
        return parts[0] if not signs else Syntax("chain", " ".join(signs), tuple(parts), column)

    bare: str = ""
    """How a function was written whose argument had no parentheses and ended just here."""

    def check_juxtaposed(self, last: Syntax, signs: list[str], bare: str) -> None:
        """Refuse a product without a sign that can be read in two ways."""
        following = self.ahead()
        if bare and not self.starts_function():
            raise self.ambiguous(
                f"{bare} {following}", f"({bare}) {following}", self.inside_out(bare, following)
            )
        if signs and signs[-1] == "/":
            raise self.ambiguous(f"a/b {following}", f"(a/b) {following}", f"a/(b {following})")
        if self.tokens[self.at].kind == "number":
            raise ParseError(
                f"column {self.column}: a number behind a factor; write `\\cdot` or put it first"
            )
        if last.kind == "name" and last.text in ("f", "g", "h") and following == "(":
            raise ParseError(
                f"column {last.column}: `{last.text}(...)` can be read as a product or as a function that is "
                f"not known; write `{last.text} \\cdot (...)` for the product"
            )

    @staticmethod
    def inside_out(bare: str, following: str) -> str:
        head, _, argument = bare.partition(" ")
        return f"{head}({argument} {following})"

    def starts_factor(self) -> bool:
        if self.at >= len(self.tokens):
            return False
        token = self.tokens[self.at]
        if token.text == "|" or token.text in (r"\rvert", r"\|"):
            return token.text == "|" and not self.bars
        if token.kind == "command":
            return not any(token.text in words for words in (_RELATIONS, _CLOSING, _AND))
        if token.kind == "environment":
            return token.text.startswith(r"\begin")
        return token.kind in ("number", "letter") or token.text in ("(", "[", "{")

    def starts_function(self) -> bool:
        name = self.ahead().lstrip("\\")
        return self.ahead().startswith("\\") and (name in _NAMED or name in _UPRIGHT or name == "begin")

    def power(self) -> Syntax:
        self.bare = ""
        column = self.column
        base = self.atom()
        if self.ahead() == "'":
            raise ParseError(f"column {self.column}: a prime; write the derivative as `\\frac{{d}}{{dx}}`")
        if self.ahead() != "^":
            return base
        if self.bare:
            raise self.ambiguous(f"{self.bare}^", f"({self.bare})^", f"{self.bare}^ inside the function")
        return Syntax("pow", "", (base, self.exponent()), column)

    def exponent(self) -> Syntax:
        self.expect("^")
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if token is not None and token.kind == "number" and len(token.text) > 1:
            raise self.ambiguous(
                f"^{token.text}", f"^{{{token.text[0]}}} {token.text[1:]}", f"^{{{token.text}}}"
            )
        return self.group()

    def group(self) -> Syntax:
        """What stands in braces, or one letter, digit or command."""
        if self.ahead() == "{":
            self.take()
            inner = self.sum()
            self.expect("}")
            return inner
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if token is not None and token.kind == "number" and len(token.text) > 1:
            first, rest = token.text[0], token.text[1:]
            self.tokens[self.at : self.at + 1] = [
                LatexToken("number", first, token.column),
                LatexToken("number", rest, token.column + 1),
            ]
        return self.atom()

    def atom(self) -> Syntax:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ParseError(f"column {self.column}: nested more than {MAX_DEPTH} deep")
        made = self._atom()
        self.depth -= 1
        return made

    def _atom(self) -> Syntax:
        if self.at >= len(self.tokens):
            raise self.problem("a number, a name or a function")
        token = self.take()
        if token.kind == "number":
            return Syntax("number", token.text, (), token.column)
        if token.kind == "letter":
            return self.named(token.text, token.column)
        if token.text in ("(", "[", "{"):
            inner = self.sum()
            self.expect({"(": ")", "[": "]", "{": "}"}[token.text])
            return inner
        if token.text in ("|", r"\lvert"):
            return self.magnitude(token)
        if token.kind == "environment" and token.text.startswith(r"\begin"):
            return self.cases(token.column)
        if token.kind == "command":
            return self.command(token)
        self.at -= 1
        raise self.problem("a number, a name or a function")

    def magnitude(self, token: LatexToken) -> Syntax:
        before, self.bars = self.bars, 1
        inner = self.sum()
        self.bars = before
        self.expect("|" if token.text == "|" else r"\rvert")
        self.bare = ""
        return Syntax("call", "Abs", (inner,), token.column)

    def named(self, name: str, column: int) -> Syntax:
        """A variable with its subscript, or Euler's number where it is raised."""
        if name == "e" and self.ahead() == "^":
            return Syntax("call", "exp", (self.exponent(),), column)
        if self.ahead() == "_":
            self.take()
            if self.ahead() == "{":
                self.take()
                parts: list[str] = []
                while self.ahead() != "}":
                    parts.append(self.take().text.lstrip("\\"))
                self.take()
                name = f"{name}_{''.join(parts)}"
            else:
                name = f"{name}_{self.take().text.lstrip(chr(92))}"
            if not name.isidentifier():
                raise ParseError(f"column {column}: the subscript of {name!r} is no name")
        return Syntax("name", name, (), column)

    def command(self, token: LatexToken) -> Syntax:
        name = token.text[1:]
        if name in ("frac", "dfrac", "tfrac"):
            above, below = self.group(), self.group()
            return Syntax("chain", "/", (above, below), token.column)
        if name == "sqrt":
            return self.root(token.column)
        if name == "pi":
            return Syntax("name", "pi", (), token.column)
        if name in _UPRIGHT:
            return self.upright(token.column)
        if name == "sigma" and not self.is_applied():
            return self.named("sigma", token.column)
        if name in _ROUNDED:
            inner = self.sum()
            self.expect(rf"\r{name[1:]}")
            return Syntax("call", _ROUNDED[name], (inner,), token.column)
        if name in ("mathbb", "mathds"):
            return self.indicator(token.column)
        if name in ("phi", "varphi") and self.ahead() == "(":
            raise self.ambiguous(rf"\{name}(...)", "the normal density, \\operatorname{normpdf}", "a product")
        if name in _APPLIED and self.ahead() == "(":
            return self.applied(token)
        if name in _NAMED and (name != "Gamma" or self.ahead() == "("):
            return self.function(_NAMED[name], token.text, token.column)
        if name in _GREEK:
            return self.named(name, token.column)
        raise ParseError(f"column {token.column}: the command {token.text} is not read in a scalar formula")

    def is_applied(self) -> bool:
        r"""Whether an argument follows, perhaps behind an exponent as in `\sigma^2(x)`."""
        if self.ahead() != "^":
            return self.ahead() in ("(", "{")
        start = self.at
        self.exponent()
        following = self.ahead()
        self.at = start
        return following == "("

    def applied(self, token: LatexToken) -> Syntax:
        """A letter that is a function where a parenthesis follows; refused where it is a variable, too."""
        uses = [n for n, t in enumerate(self.tokens) if t.text == token.text]
        if any(n + 1 >= len(self.tokens) or self.tokens[n + 1].text != "(" for n in uses):
            raise self.ambiguous(f"{token.text}(...)", "a function", "a product with the variable")
        return self.function(_APPLIED[token.text[1:]], token.text, token.column)

    def indicator(self, column: int) -> Syntax:
        r"""`\mathbb{1}[x > 0]` or `\mathbb{1}_{x > 0}`: 1 where the condition holds."""
        self.expect("{")
        self.expect("1")
        self.expect("}")
        if self.ahead() == "_":
            self.take()
        closing = {"[": "]", "(": ")", "{": "}", r"\{": r"\}"}.get(self.ahead())
        if closing is None:
            raise self.problem("a condition in brackets")
        self.take()
        held = self.condition()
        self.expect(closing)
        return Syntax(held.kind, held.text, held.parts, column)

    def root(self, column: int) -> Syntax:
        if self.ahead() == "[":
            self.take()
            degree = self.sum()
            self.expect("]")
            part = Syntax("chain", "/", (Syntax("number", "1", (), column), degree), column)
            return Syntax("pow", "", (self.group(), part), column)
        return Syntax("call", "sqrt", (self.group(),), column)

    def upright(self, column: int) -> Syntax:
        """A name in upright letters: a function of the table, or Euler's number."""
        self.expect("{")
        letters: list[str] = []
        while self.ahead() not in ("}", ""):
            token = self.take()
            letters.append("_" if token.text == "_" else token.text)
        self.expect("}")
        name = "".join(letters)
        if name == "e":
            return (
                Syntax("call", "exp", (self.exponent(),), column)
                if self.ahead() == "^"
                else Syntax("name", "E")
            )
        known = name if name in TABLE or name in WITHOUT_ROW else _WORDS.get(name.lower(), name.lower())
        if known not in TABLE and known not in WITHOUT_ROW:
            raise ParseError(f"column {column}: there is no function {name!r}")
        return self.function(known, name, column)

    def function(self, name: str, shown: str, column: int) -> Syntax:
        power: Syntax | None = None
        base: Syntax | None = None
        if name == "log" and self.ahead() == "_":
            self.take()
            base = self.group()
        if self.ahead() == "^":
            power = self.exponent()
            if power.kind == "sign":
                raise self.ambiguous(f"{shown}^{{-1}}", f"the inverse of {shown}", f"1/{shown}")
        arguments = self.arguments(shown) if base is None else (*self.arguments(shown), base)
        made = Syntax("call", name, arguments, column)
        return made if power is None else Syntax("pow", "", (made, power), column)

    def arguments(self, shown: str) -> tuple[Syntax, ...]:
        self.bare = ""
        closing = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}.get(self.ahead())
        if closing is not None:
            bars, self.bars = self.bars, 0
            self.take()
            found = [self.sum()]
            while self.ahead() == ",":
                self.take()
                found.append(self.sum())
            self.expect(closing)
            self.bars = bars
            return tuple(found)
        start = self.at
        inner = self.power_of_argument()
        if self.tokens[start].text not in ("|", r"\lvert", r"\frac", r"\sqrt"):
            self.bare = f"{shown} {self.source(start)}"
        return (inner,)

    def power_of_argument(self) -> Syntax:
        if self.starts_function():
            raise self.problem("an argument in parentheses")
        column, base = self.column, self.atom()
        return Syntax("pow", "", (base, self.exponent()), column) if self.ahead() == "^" else base

    def source(self, start: int) -> str:
        return " ".join(t.text for t in self.tokens[start : self.at])

    # --- cases

    def cases(self, column: int) -> Syntax:
        found: list[Syntax] = []
        while True:
            at, value = self.column, self.sum()
            if self.ahead() == ",":
                self.take()
            self.expect("&")
            found.append(Syntax("list", "(", (value, self.condition()), at))
            if self.ahead() in (".", ","):
                self.take()
            if self.ahead() == r"\\":
                self.take()
                if self.ahead() != r"\end{cases}":
                    continue
            self.expect(r"\end{cases}")
            return Syntax("call", "Piecewise", tuple(found), column)

    def conditions(self) -> Syntax:
        """Conditions that hold all of them, with commas or an `and` between."""
        column, found = self.column, [self.condition()]
        while self.ahead() in _AND:
            self.take()
            found.append(self.condition())
        return found[0] if len(found) == 1 else Syntax("all_of", "", tuple(found), column)

    def condition(self) -> Syntax:
        column = self.column
        if self.ahead() in (r"\text", r"\mathrm", r"\textrm", r"\operatorname"):
            start = self.at
            self.take()
            self.expect("{")
            word = ""
            while self.ahead() not in ("}", ""):
                word += self.take().text
            self.expect("}")
            if word in _OTHERWISE:
                return Syntax("name", "True", (), column)
            if word not in ("if", "for", "when", "where"):
                self.at = start
                raise self.problem("a condition")
        parts, relations = [self.sum()], list[str]()
        while self.ahead() in _RELATIONS:
            relations.append(_RELATIONS[self.take().text])
            parts.append(self.sum())
        if not relations:
            raise self.problem("a comparison")
        return Syntax("compare", " ".join(relations), tuple(parts), column)
