"""Boxes as MathML: mathematics in a page without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gradproof.symbolic.boxes import (
    Accent,
    Big,
    Box,
    Cases,
    Equation,
    Fence,
    Fraction,
    Hot,
    Ident,
    Indexed,
    Lowered,
    Num,
    Op,
    Raised,
    Root,
    Row,
    Thin,
    Words,
)
from gradproof.symbolic.names import join

_THIN = '<mspace width=".16em"/>'
_MARKS = {"hat": "^", "dot": "˙", "ddot": "¨", "bar": "¯", "tilde": "~", "arrow": "←"}
_BIG = {"sum": "<mo>∑</mo>", "max": "<mo>max</mo>"}


def box_to_mathml(box: Box) -> str:
    """The MathML of a box, without the `math` element around it."""
    if isinstance(box, Ident):
        return _identifier(box)
    if isinstance(box, Num):
        return f"<mn>{box.text}</mn>"
    if isinstance(box, Op):
        form = f' form="{box.spacing}"' if box.spacing in ("prefix", "postfix") else ""
        return f"<mo{form}>{escape(box.text)}</mo>"
    if isinstance(box, Words):
        return f"<mtext>{escape(box.text).replace(' ', '&#160;')}</mtext>"
    if isinstance(box, Thin):
        return _THIN
    if isinstance(box, Row):
        return _row("".join(box_to_mathml(part) for part in box.parts))
    if isinstance(box, Indexed | Raised | Lowered):
        return _scripts(box)
    return _construct(box)


def _construct(box: Box) -> str:
    if isinstance(box, Fraction):
        return f"<mfrac>{box_to_mathml(box.above)}{box_to_mathml(box.below)}</mfrac>"
    if isinstance(box, Root):
        return f"<msqrt>{box_to_mathml(box.body)}</msqrt>"
    if isinstance(box, Big):
        under = f"<munder>{_BIG[box.symbol]}{box_to_mathml(box.under)}</munder>"
        return _row(f"{under}{_THIN}{box_to_mathml(box.body)}")
    if isinstance(box, Fence):
        return _row(f"<mo>{box.left}</mo>{box_to_mathml(box.body)}<mo>{box.right}</mo>")
    if isinstance(box, Cases):
        rows = "".join(
            f"<mtr><mtd>{box_to_mathml(value)}</mtd><mtd>{box_to_mathml(when)}</mtd></mtr>"
            for value, when in box.rows
        )
        return _row(f'<mo>{{</mo><mtable class="cases">{rows}</mtable>')
    if isinstance(box, Accent):
        stretch = "true" if box.mark == "arrow" else "false"
        mark = f'<mo stretchy="{stretch}">{_MARKS[box.mark]}</mo>'
        return f'<mover accent="true">{box_to_mathml(box.base)}{mark}</mover>'
    if isinstance(box, Hot):
        return f'<mrow class="hot">{box_to_mathml(box.body)}</mrow>'
    raise TypeError(f"no MathML for {type(box).__name__}")


def _row(inside: str) -> str:
    return f"<mrow>{inside}</mrow>"


def _identifier(box: Ident) -> str:
    stem = box.text.rstrip("′")
    primes = len(box.text) - len(stem)
    upright = ' mathvariant="normal"' if box.upright and len(stem) == 1 else ""
    made = f"<mi{upright}>{escape(stem).replace(' ', '&#160;')}</mi>"
    return _row(made + "<mo>′</mo>" * primes) if primes else made


def _scripts(box: Indexed | Raised | Lowered) -> str:
    if isinstance(box, Lowered):
        return f"<msub>{box_to_mathml(box.base)}{box_to_mathml(box.below)}</msub>"
    above: Box | None = None
    if isinstance(box, Raised):
        above, base = box.above, box.base
        if isinstance(base, Lowered):
            inner = box_to_mathml(base.base) + box_to_mathml(base.below) + box_to_mathml(above)
            return f"<msubsup>{inner}</msubsup>"
        if not isinstance(base, Indexed) or base.labels:
            return f"<msup>{box_to_mathml(base)}{box_to_mathml(above)}</msup>"
        box = base
    elif box.labels:
        above = join(box.labels)
    front, head = "", box.head
    if isinstance(head, Row):
        front = "".join(box_to_mathml(part) for part in head.parts[:-1])
        head = head.parts[-1]
    made = box_to_mathml(head)
    below = box_to_mathml(join(box.indices)) if box.indices else ""
    if below and above is not None:
        made = f"<msubsup>{made}{below}{box_to_mathml(above)}</msubsup>"
    elif below:
        made = f"<msub>{made}{below}</msub>"
    elif above is not None:
        made = f"<msup>{made}{box_to_mathml(above)}</msup>"
    return _row(front + made) if front else made


# --- whole formulas


def math(box: Box, display: bool = False) -> str:
    """A box as a `math` element.

    >>> math(Num("1"))
    '<math><mn>1</mn></math>'
    """
    return f"<math{_DISPLAY if display else ''}>{box_to_mathml(box)}</math>"


_DISPLAY = ' displaystyle="true"'
_INDENT = '<mspace width="1.6em"/>'
_WIDE = 78


def equations_to_mathml(given: Sequence[Equation], relation: str = "=", wide: int = _WIDE) -> str:
    """Equations under one another, aligned at the relation; a long sum is broken before its signs."""
    rows: list[str] = []
    sign = f'<mo form="infix">{relation}</mo>'
    for made in given:
        first, *rest = broken(made.right, wide)
        left = f"<mtd>{box_to_mathml(made.left)}</mtd>"
        rows.append(f"<mtr>{left}<mtd><mrow>{sign}{box_to_mathml(first)}</mrow></mtd></mtr>")
        rows.extend(
            f'<mtr class="more"><mtd></mtd><mtd><mrow>{_INDENT}{box_to_mathml(r)}</mrow></mtd></mtr>'
            for r in rest
        )
    return f'<math{_DISPLAY}><mtable class="aligned">{"".join(rows)}</mtable></math>'


def broken(box: Box, wide: int = _WIDE) -> list[Box]:
    """A sum of more than `wide` letters as lines, each of which starts with its sign.

    The sum may stand in parentheses at the end of a product.
    """
    if not isinstance(box, Row) or width(box) <= wide:
        return [box]
    lines: list[list[Box]] = [[]]
    for part in _opened(box.parts):
        here = lines[-1]
        if isinstance(part, Op) and part.spacing == "binary" and sum(map(width, here)) > wide // 3:
            lines.append([])
        lines[-1].append(part)
    return [Row(tuple(line)) for line in lines if line]


def _opened(parts: Sequence[Box]) -> Sequence[Box]:
    """The parts of a row, those of a sum in parentheses at its end among them."""
    *front, last = parts
    plain = not any(isinstance(p, Op) and p.spacing == "binary" for p in front)
    if not (plain and isinstance(last, Fence) and isinstance(last.body, Row)):
        return parts
    return (*front, Op(last.left, "prefix"), *last.body.parts, Op(last.right, "postfix"))


def width(box: Box) -> int:
    """About how many letters wide a box is."""
    if isinstance(box, Ident | Num | Words):
        return len(box.text)
    if isinstance(box, Op):
        return 2
    if isinstance(box, Row):
        return sum(width(part) for part in box.parts)
    if isinstance(box, Fraction):
        return max(width(box.above), width(box.below))
    if isinstance(box, Indexed):
        below = sum(map(width, box.indices))
        above = sum(map(width, box.labels))
        return width(box.head) + (max(below, above) * 2 + 2) // 3
    if isinstance(box, Raised):
        return width(box.base) + width(box.above) * 2 // 3
    if isinstance(box, Big):
        return max(3, width(box.under)) + width(box.body)
    if isinstance(box, Cases):
        return max(width(value) + width(when) + 2 for value, when in box.rows)
    if isinstance(box, Fence | Root | Hot):
        return width(box.body) + 2
    return 2
