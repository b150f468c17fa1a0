"""Mathematics for people: expressions, definitions, programs and derivations as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradproof.symbolic.boxes import (
    Accent,
    Big,
    Box,
    Cases,
    Equation,
    Fence,
    Fraction,
    Group,
    Hot,
    Ident,
    Indexed,
    Line,
    Lowered,
    Num,
    Op,
    Raised,
    Root,
    Row,
    Thin,
    Words,
)
from gradproof.symbolic.derivation import Derivation
from gradproof.symbolic.equations import (
    derivation_notation,
    operation_notation,
    program_lines,
    program_notation,
)
from gradproof.symbolic.expressions import Expr
from gradproof.symbolic.names import GREEK, join
from gradproof.symbolic.notation import Notation
from gradproof.symbolic.operation import Operation, Program

HOT = "gradproofhot"
"""The colour of the part to which a rule is applied; a document defines it (`preamble`)."""

_LETTERS = {character: rf"\{name}" for name, character in GREEK.items() if name not in ("eps", "lam")}
_LETTERS["ε"] = r"\varepsilon"
_OPERATORS = {
    "−": "-", "≤": r"\le", "≥": r"\ge", "≠": r"\neq", "<": "<", ">": ">", "=": "=", "+": "+",
    "→": r"\to", "↦": r"\mapsto", "·": r"\cdot",
}  # fmt: skip
_WORDS = {"exp", "log", "sin", "cos", "tanh", "max"}
_ACCENTS = {
    "hat": r"\hat",
    "dot": r"\dot",
    "ddot": r"\ddot",
    "bar": r"\bar",
    "tilde": r"\tilde",
    "arrow": r"\overleftarrow",
}
_ESCAPES = str.maketrans({c: f"\\{c}" for c in "_%&#${}"} | {"−": "-", "…": r"\dots{}"})


def box_to_latex(box: Box) -> str:
    """The LaTeX of a box, in math mode."""
    if isinstance(box, Ident):
        return _identifier(box)
    if isinstance(box, Num):
        return box.text
    if isinstance(box, Op):
        return f" {_OPERATORS.get(box.text, box.text)} " if box.spacing != "comma" else r",\,"
    if isinstance(box, Words):
        return rf"\text{{{box.text.translate(_ESCAPES)}}}" if box.text != "−" else "-"
    if isinstance(box, Thin):
        return r"\,"
    if isinstance(box, Row):
        return "".join(_glue([box_to_latex(part) for part in box.parts]))
    if isinstance(box, Indexed | Raised | Lowered):
        return _scripts(box)
    return _construct(box)


def _construct(box: Box) -> str:
    if isinstance(box, Fraction):
        return rf"\frac{{{box_to_latex(box.above)}}}{{{box_to_latex(box.below)}}}"
    if isinstance(box, Root):
        return rf"\sqrt{{{box_to_latex(box.body)}}}"
    if isinstance(box, Big):
        body = box_to_latex(box.body)
        return rf"\{box.symbol}_{{{box_to_latex(box.under)}}} {body}"
    if isinstance(box, Fence):
        left, right = (
            (rf"\left{box.left}", rf"\right{box.right}") if _is_tall(box.body) else (box.left, box.right)
        )
        return f"{left}{box_to_latex(box.body)}{right}"
    if isinstance(box, Cases):
        rows = r" \\ ".join(f"{box_to_latex(value)} & {box_to_latex(when)}" for value, when in box.rows)
        return rf"\begin{{cases}} {rows} \end{{cases}}"
    if isinstance(box, Accent):
        return rf"{_ACCENTS[box.mark]}{{{box_to_latex(box.base)}}}"
    if isinstance(box, Hot):
        return rf"{{\color{{{HOT}}} {box_to_latex(box.body)}}}"
    raise TypeError(f"no LaTeX for {type(box).__name__}")


def _glue(parts: Sequence[str]) -> Iterable[str]:
    """Keep a control word apart from a letter that follows it."""
    for place, part in enumerate(parts):
        following = parts[place + 1] if place + 1 < len(parts) else ""
        control = part.rsplit("\\", 1)[-1] if "\\" in part else ""
        yield f"{part} " if control.isalpha() and following[:1].isalpha() else part


def _identifier(box: Ident) -> str:
    stem = box.text.rstrip("′")
    primes = "'" * (len(box.text) - len(stem))
    if stem == "∂":
        return r"\partial "
    if stem in _LETTERS:
        return _LETTERS[stem] + primes
    if box.upright and stem in _WORDS:
        return rf"\{stem}"
    if box.upright and stem in ("erf", "softplus"):
        return rf"\operatorname{{{stem}}}"
    if box.upright:
        spaced = stem.translate(_ESCAPES).replace(" ", r"\ ")
        return rf"\mathrm{{{spaced}}}{primes}"
    return stem + primes


def _scripts(box: Indexed | Raised | Lowered) -> str:
    if isinstance(box, Lowered):
        return f"{box_to_latex(box.base)}_{{{box_to_latex(box.below)}}}"
    above: Box | None = None
    if isinstance(box, Raised):
        above, base = box.above, box.base
        if isinstance(base, Lowered):
            return f"{box_to_latex(base)}^{{{box_to_latex(above)}}}"
        if not isinstance(base, Indexed) or base.labels:
            return f"{_grouped(base)}^{{{box_to_latex(above)}}}"
        box = base
    head = box_to_latex(box.head)
    if isinstance(box.head, Row):
        *front, last = box.head.parts
        head = "".join(box_to_latex(p) for p in front) + box_to_latex(last)
    below = f"_{{{box_to_latex(join(box.indices))}}}" if box.indices else ""
    labels = box_to_latex(join(box.labels)) if box.labels else ""
    exponent = box_to_latex(above) if above is not None else labels
    return f"{head}{below}" + (f"^{{{exponent}}}" if exponent else "")


def _grouped(base: Box) -> str:
    made = box_to_latex(base)
    return made if isinstance(base, Ident | Num | Fence | Indexed) else f"{{{made}}}"


def _is_tall(box: Box) -> bool:
    """Whether delimiters around the box grow with it."""
    if isinstance(box, Fraction | Big | Cases | Root):
        return True
    if isinstance(box, Row):
        return any(_is_tall(part) for part in box.parts)
    return isinstance(box, Hot | Fence) and _is_tall(box.body)


# --- what a reader asks for


def latex(expr: Expr, notation: Notation | None = None, mark: tuple[int, ...] | None = None) -> str:
    r"""The LaTeX of an expression; the part at the path `mark` is coloured.

    >>> from gradproof.symbolic.axes import Axis
    >>> from gradproof.symbolic.expressions import ONE, Tensor, entry, index
    >>> k = index("k", Axis("classes"))
    >>> y = entry(Tensor("y", (k.axis,)), k)
    >>> latex(y * (ONE - y))
    'y_{k}(1 - y_{k})'
    """
    return box_to_latex((notation or Notation()).box(expr, mark))


def equation_to_latex(made: Equation) -> str:
    """An equation in one line, with its alignment point before the relation."""
    return f"{box_to_latex(made.left)} &= {box_to_latex(made.right)}"


def aligned(given: Iterable[Line]) -> str:
    """Equations as one `aligned` block."""
    made: list[str] = []
    for line in given:
        if isinstance(line, Group):
            over = rf"\quad {box_to_latex(line.over)}" if line.over is not None else ""
            made.append(rf"&\textbf{{{line.title.translate(_ESCAPES)}}}{over}")
        inner = line.equations if isinstance(line, Group) else (line,)
        made.extend(equation_to_latex(e) for e in inner)
    body = " \\\\\n".join(made)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def displayed(formula: str) -> str:
    """A formula on a line of its own, as notebooks take it."""
    return f"$$\\displaystyle {formula}$$"


def operation_to_latex(operation: Operation) -> str:
    """The definition of an operation."""
    return aligned(program_lines(operation.program, operation_notation(operation)))


def program_to_latex(program: Program) -> str:
    """The equations of a program."""
    return aligned(program_lines(program, program_notation(program, derived=True)))


def derivation_to_latex(derivation: Derivation) -> str:
    """The closed form of a derivation."""
    return aligned(program_lines(derivation.program, derivation_notation(derivation)))


def preamble() -> str:
    """What a LaTeX document needs before these formulas."""
    return "\n".join(
        (r"\usepackage{amsmath,amssymb}", r"\usepackage{xcolor}", rf"\definecolor{{{HOT}}}{{HTML}}{{B3261E}}")
    )
