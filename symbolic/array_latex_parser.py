"""The parser of array formulas in LaTeX: sums over indices, subscripts, transposes, norms, deltas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gradproof.symbolic.array_functions import ARRAY_TABLE
from gradproof.symbolic.latex_parser import LatexParser
from gradproof.symbolic.latex_tokens import LatexToken
from gradproof.symbolic.scalar_functions import TABLE
from gradproof.symbolic.syntax import ParseError, Syntax, names_in

_SIGNS = {r"\cdot": ".", r"\times": ".", r"\odot": "*", r"\circ": "*", "*": "*", r"\ast": "*", "/": "/"}


_TRANSPOSE = (r"\top", r"\intercal", "T")


_WORDS = {"tr": "trace", "Tr": "trace", "LSE": "logsumexp", "lse": "logsumexp", "logdet": "logdet"}


_ACCENTS = ("hat", "bar", "tilde", "dot", "widehat", "overline")


_FONTS = frozenset(
    ("mathbf", "boldsymbol", "bm", "mathrm", "operatorname", "mathsf", "text", "textrm", "mathit", "mathbb",
     "vec", "mathcal", "mathop", "textbf")
)  # fmt: skip


@dataclass(frozen=True)
class Declared:
    """The names that a claim declares: arrays and how many axes they have, axes, indices of the result."""

    ranks: Mapping[str, int]
    axes: frozenset[str]
    cotangent: str = "g"
    labels: frozenset[str] = frozenset()


@dataclass
class ArrayParser(LatexParser):
    """The parser of array formulas."""

    declared: Declared = field(default_factory=lambda: Declared({}, frozenset()))
    left: bool = False
    norms: int = 0
    indices: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()

    def left_side(self) -> tuple[str, tuple[str, ...]]:
        """The name on the left side of an equation and its indices.

        For a partial derivative there is no name, and the indices above and below are parted by `/`.
        """
        if self.ahead() in (r"\frac", r"\dfrac", r"\partial"):
            return "", self.quotient()
        token = self.take()
        name = token.text.lstrip("\\")
        if name in _FONTS or name in _ACCENTS:
            name = self.letters()
        subs = self.subscripts() if self.ahead() == "_" else []
        if self.at < len(self.tokens) or any(s.kind != "name" for s in subs):
            raise self.problem("a name with indices in front of `=`")
        return name, tuple(s.text for s in subs)

    def quotient(self) -> tuple[str, ...]:
        """The indices of a partial derivative, those above, `/`, those below."""
        fraction = self.take().text != r"\partial"
        found: list[str] = []
        for place in range(2):
            if fraction:
                self.expect("{")
            if fraction or place:
                self.expect(r"\partial")
            made = self.atom()
            found += [s.text for s in made.parts[1:]] if made.kind == "subscript" else []
            if fraction:
                self.expect("}")
            elif not place:
                self.expect("/")
            if not place:
                found.append("/")
        return tuple(found)

    # --- products

    def product(self) -> Syntax:
        column, signs = self.column, list[str]()
        parts = [self.power()]
        while True:
            if self.ahead() in _SIGNS:
                signs.append(_SIGNS[self.take().text])
                if self.ahead() == "-":
                    raise ParseError(f"column {self.column}: put a negative factor in parentheses")
            elif self.starts_factor():
                if signs and signs[-1] == "/":
                    following = self.ahead()
                    raise self.ambiguous(f"a/b {following}", f"(a/b) {following}", f"a/(b {following})")
                if self.bare and not self.starts_function():
                    shown, following = self.bare, self.ahead()
                    inner = self.inside_out(shown, following)
                    raise self.ambiguous(f"{shown} {following}", f"({shown}) {following}", inner)
                signs.append("~")
            else:
                break
            parts.append(self.power())
        return parts[0] if not signs else Syntax("product", " ".join(signs), tuple(parts), column)

    def starts_factor(self) -> bool:
        if self.ahead() in _SIGNS or self.ahead() in (r"\rVert", r"\rvert", r"\right", r"\}"):
            return False
        if self.ahead() == r"\|":
            return not self.norms
        return super().starts_factor()

    def power(self) -> Syntax:
        self.bare = ""
        column, base = self.column, self.atom()
        while self.ahead() == "^":
            base = self.raised(base, column)
        return base

    def raised(self, base: Syntax, column: int) -> Syntax:
        if self.bare:
            raise self.ambiguous(f"{self.bare}^", f"({self.bare})^", f"{self.bare}^ inside the function")
        length, letters = self.plain_exponent()
        if letters in _TRANSPOSE and "T" not in self.declared.ranks:
            self.at += length
            return Syntax("transpose", "", (base,), column)
        if letters[:1] == "-" and letters[1:] in _TRANSPOSE:
            self.at += length
            inverse = Syntax("superscript", "", (base, _minus_one(column)), column)
            return Syntax("transpose", "", (inverse,), column)
        return Syntax("superscript", "", (base, self.exponent()), column)

    def plain_exponent(self) -> tuple[int, str]:
        """How many tokens an exponent of at most a sign and a mark takes, and these, fonts left out."""
        level, letters = 0, ""
        for count, token in enumerate(self.tokens[self.at + 1 : self.at + 8], 2):
            level += (token.text == "{") - (token.text == "}")
            font = token.text.lstrip("\\") in _FONTS
            if token.text not in ("{", "}") and not font:
                letters += token.text
            if level == 0 and not font:
                return count, letters
        return 0, ""

    # --- atoms

    def atom(self) -> Syntax:
        made = super().atom()
        while self.ahead() == "_":
            made = Syntax("subscript", "", (made, *self.subscripts()), made.column)
            self.bare = ""
        return made

    def magnitude(self, token: LatexToken) -> Syntax:
        made = super().magnitude(token)
        return Syntax("bars", "", made.parts, made.column)

    def named(self, name: str, column: int) -> Syntax:
        if name == "e" and self.ahead() == "^" and "e" not in self.declared.ranks:
            return Syntax("call", "exp", (self.exponent(),), column)
        if self.ahead() != "_":
            return Syntax("name", name, (), column)
        start = self.at
        whole = f"{name}_{self.raw_subscript()}"
        if whole in self.declared.ranks:
            return Syntax("name", whole, (), column)
        self.at = start
        if name == "I" and "I" not in self.declared.ranks:
            return Syntax("call", "eye", tuple(self.subscripts()), column)
        if name == "delta" and "delta" not in self.declared.ranks:
            subs = self.subscripts()
            if len(subs) != 2:
                raise ParseError(f"column {column}: a delta has two indices")
            return Syntax("call", "delta", tuple(subs), column)
        if self.declared.ranks.get(name, 0):
            return Syntax("subscript", "", (Syntax("name", name, (), column), *self.subscripts()), column)
        return super().named(name, column)

    def raw_subscript(self) -> str:
        self.take()
        if self.ahead() != "{":
            return self.take().text.lstrip("\\")
        self.take()
        parts: list[str] = []
        while self.ahead() not in ("}", ""):
            parts.append(self.take().text.lstrip("\\"))
        self.expect("}")
        return "".join(parts)

    def subscripts(self) -> list[Syntax]:
        """The indices behind a name: side by side, or between commas."""
        self.expect("_")
        if self.ahead() != "{":
            return [LatexParser.atom(self)]
        self.take()
        found = [self.index()]
        while self.ahead() != "}":
            if self.ahead() == ",":
                self.take()
            found.append(self.index())
        self.take()
        return found

    def index(self) -> Syntax:
        column, made = self.column, super().atom()
        while self.ahead() in ("+", "-"):
            sign = self.take().text
            made = Syntax("chain", sign, (made, super().atom()), column)
        return made

    def command(self, token: LatexToken) -> Syntax:
        name = token.text[1:]
        if name in ("sum", "prod", "max", "min") and self.ahead() == "_":
            return self.over({"max": "amax", "min": "amin"}.get(name, name), token.column)
        if name in ("sum", "prod"):
            raise ParseError(f"column {token.column}: {token.text} without an index below")
        if name in ("lVert", "|"):
            return self.norm(token)
        if name == "partial" or (name in ("frac", "dfrac", "tfrac") and self.partial_ahead()):
            return self.partial(token)
        if name == "det":
            return self.function("det", r"\det", token.column)
        if name in _ACCENTS:
            letters = self.letters()
            short = {"widehat": "hat", "overline": "bar"}.get(name, name)
            names = [f"{letters}{short}", f"{letters}_{short}", f"{short}_{letters}"]
            return self.named(next((n for n in names if n in self.declared.ranks), names[0]), token.column)
        if name in _FONTS:
            return self.in_font(token.column)
        if name == "ell":
            return self.named("ell", token.column)
        return super().command(token)

    def letters(self) -> str:
        """What stands in braces, or one token, as a name."""
        if self.ahead() != "{":
            return self.take().text.lstrip("\\")
        self.take()
        made = ""
        while self.ahead() not in ("}", ""):
            made += self.take().text.lstrip("\\")
        self.expect("}")
        return made

    def in_font(self, column: int) -> Syntax:
        """A name in a font of its own: an array, a function, or an indicator."""
        name = self.letters()
        marks = ("[", "(", r"\{", "_") if name == "1" else ("[", "(", r"\{")
        if name in ("1", "I") and name not in self.declared.ranks and self.ahead() in marks:
            return self.indicator(column)
        if name in self.declared.ranks or name in self.declared.axes or (len(name) == 1 and name.isalpha()):
            return self.named(name, column)
        if name == "1":
            raise ParseError(f"column {column}: a vector of ones; write `1` where every entry is 1")
        known = _WORDS.get(name, name)
        for candidate in (known, known.lower()):
            if candidate in ARRAY_TABLE or candidate in TABLE:
                return self.function(candidate, name, column)
        raise ParseError(
            f"column {column}: there is no function {name!r}, and no array of that name is declared"
        )

    def indicator(self, column: int) -> Syntax:
        if self.ahead() == "_":
            self.take()
        closing = {"[": "]", "(": ")", r"\{": r"\}", "{": "}"}.get(self.ahead())
        if closing is None:
            raise self.problem("a condition in brackets")
        self.take()
        inner = {r"\{": r"\}"}.get(self.ahead())
        if inner:
            self.take()
        made = self.condition()
        for mark in (inner, closing):
            if mark:
                self.expect(mark)
        return Syntax("call", "indicator", (made,), column)

    def power_of_argument(self) -> Syntax:
        if not self.starts_function() and self.ahead() != r"\det":
            return super().power_of_argument()
        made = self.atom()
        if self.bare and self.ahead() != "" and self.starts_factor():
            raise self.problem("an argument in parentheses")
        return made

    def cases(self, column: int) -> Syntax:
        made = super().cases(column)
        parts = tuple(Syntax("list", "", p.parts, p.column) for p in made.parts)
        return Syntax("call", "Piecewise", parts, column)

    # --- sums, norms, partial derivatives

    def over(self, name: str, column: int) -> Syntax:
        r"""`\sum_{k=1}^{n} body`, `\sum_{i,j} body`, `\sum_{j \le i} body`: the body is a product."""
        self.expect("_")
        names: list[str] = []
        held: list[Syntax] = []
        start: Syntax | None = None
        braces = self.ahead() == "{"
        if braces:
            self.take()
        while True:
            made = self.atom()
            if made.kind != "name":
                raise ParseError(f"column {made.column}: an index was expected below the sum")
            names.append(made.text)
            if braces and self.ahead() in (r"\le", r"\leq", "<", ">", r"\ge", r"\geq", r"\ne", r"\neq"):
                relation = {r"\le": "<=", r"\leq": "<=", "<": "<", ">": ">", r"\ge": ">=", r"\geq": ">="}
                sign = relation.get(self.take().text, "!=")
                held.append(Syntax("compare", sign, (made, self.atom()), made.column))
            elif braces and self.ahead() == "=":
                self.take()
                start = self.atom()
            if not braces or self.ahead() == "}":
                break
            if self.ahead() == ",":
                self.take()
        if braces:
            self.expect("}")
        end: Syntax | None = None
        if self.ahead() == "^":
            end = self.exponent()
        before, self.summed = self.summed, (*self.summed, *names)
        body = self.product()
        self.summed = before
        for condition in held:
            self.check_bound(condition.parts[1], names, body)
        return self.bounded(name, names, held, start, end, body, column)

    def check_bound(self, other: Syntax, names: Sequence[str], body: Syntax) -> None:
        r"""Refuse `\sum_{i<j} x_i x_j` where j may be summed over as well, or be an index of the result."""
        if other.kind != "name" or other.text not in names_in(body):
            return
        known = {*names, *self.summed, *self.indices, *self.declared.labels, *self.declared.ranks}
        if other.text not in known | self.declared.axes:
            one, two = names[0], other.text
            raise ParseError(
                f"column {other.column}: this sum can be read as one over {one} or over {one} and {two}; "
                f"write `\\sum_{{{two}}}` in front, or name {two} in 'wrt' or on the left side"
            )

    def bounded(
        self,
        name: str,
        names: list[str],
        held: list[Syntax],
        start: Syntax | None,
        end: Syntax | None,
        body: Syntax,
        column: int,
    ) -> Syntax:
        indices = tuple(Syntax("name", n, (), column) for n in names)
        for condition in held:
            if name != "sum":
                raise ParseError(f"column {column}: a condition below {name} is not read")
            body = Syntax("chain", "*", (condition, body), column)
        if start is None and end is None:
            return Syntax("call", name, (body, *indices), column)
        if start is None or start.text not in ("0", "1") or end is None or len(names) != 1:
            raise ParseError(
                f"column {column}: an index runs from 1 to the size of an axis: `_{{k=1}}^{{n}}`"
            )
        if end.kind == "name" and end.text in self.declared.axes:
            return Syntax("call", name, (Syntax("each", names[0], (body, end), column),), column)
        if end.kind == "name" and name == "sum":
            condition = Syntax("compare", "<=", (indices[0], end), column)
            return Syntax("call", name, (Syntax("chain", "*", (condition, body), column), *indices), column)
        raise ParseError(
            f"column {column}: the sum ends at what is no axis; there are {', '.join(self.declared.axes)}"
        )

    def norm(self, token: LatexToken) -> Syntax:
        closing = r"\rVert" if token.text == r"\lVert" else r"\|"
        self.norms += 1
        inner = self.sum()
        self.norms -= 1
        self.expect(closing)
        order: tuple[Syntax, ...] = ()
        if self.ahead() == "_":
            said = self.raw_subscript()
            if said not in ("1", "2", "F", "infty"):
                raise ParseError(f"column {self.column}: a norm is one of order 1, 2, \\infty or F")
            if said in ("1", "infty"):
                text = "inf" if said == "infty" else said
                order = (Syntax("number" if said == "1" else "name", text, (), token.column),)
        self.bare = ""
        return Syntax("call", "norm", (inner, *order), token.column)

    def partial_ahead(self) -> bool:
        return [t.text for t in self.tokens[self.at : self.at + 2]] == ["{", r"\partial"]

    def partial(self, token: LatexToken) -> Syntax:
        r"""`\partial L/\partial y_i`: an entry of the cotangent."""
        fraction = token.text != r"\partial"
        if fraction:
            self.expect("{")
            self.expect(r"\partial")
        self.take()
        if fraction:
            self.expect("}")
            self.expect("{")
        else:
            self.expect("/")
        self.expect(r"\partial")
        by = self.atom()
        if fraction:
            self.expect("}")
        base, *subs = by.parts if by.kind == "subscript" else (by,)
        if base.kind != "name":
            raise ParseError(f"column {token.column}: a partial derivative by what is no name")
        cotangent = Syntax("name", self.declared.cotangent, (), token.column)
        return Syntax("subscript", "", (cotangent, *subs), token.column) if subs else cotangent


def _minus_one(column: int) -> Syntax:
    return Syntax("sign", "-", (Syntax("number", "1", (), column),), column)
