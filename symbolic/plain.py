"""Boxes as one line of text for a terminal, with the names of the code: `dx[b,k] = dy[b,k] y[b,k]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
from gradproof.symbolic.equations import derivation_notation, operation_notation, program_lines
from gradproof.symbolic.operation import Operation
from gradproof.symbolic.verdict import Verdict


def box_to_text(box: Box) -> str:
    """A box in one line.

    >>> box_to_text(Fraction(Num("1"), Root(Ident("n"))))
    '1/sqrt(n)'
    """
    if isinstance(box, Ident):
        return box.code or box.text.replace("′", "'")
    if isinstance(box, Num):
        return box.text
    if isinstance(box, Words):
        return box.text.replace("−", "-")
    if isinstance(box, Op):
        return _operator(box)
    if isinstance(box, Thin):
        return " "
    if isinstance(box, Row):
        return _row([box_to_text(part) for part in box.parts])
    if isinstance(box, Indexed):
        return f"{box.name}[{','.join(map(box_to_text, box.indices))}]" if box.indices else box.name
    return _construct(box)


def _operator(box: Op) -> str:
    sign = "-" if box.text == "−" else box.text
    return {"prefix": sign, "comma": f"{sign} "}.get(box.spacing, f" {sign} ")


def _row(parts: list[str]) -> str:
    made = ""
    for part in parts:
        after = part.startswith(("(", "[")) and made[-1:] in ("]", ")", "'")
        touching = after or (made.endswith(")") and part[:1].isalnum())
        made += f" {part}" if touching else part
    return made


def _construct(box: Box) -> str:
    if isinstance(box, Fraction):
        return f"{_tight(box.above)}/{_tight(box.below)}"
    if isinstance(box, Root):
        return f"sqrt({box_to_text(box.body)})"
    if isinstance(box, Raised):
        return f"{_tight(box.base)}^{_tight(box.above)}"
    if isinstance(box, Lowered):
        return f"{box_to_text(box.base)}_{box_to_text(box.below)}"
    if isinstance(box, Big):
        return f"{box.symbol}_{{{box_to_text(box.under)}}} {box_to_text(box.body)}"
    if isinstance(box, Fence):
        return f"{box.left}{box_to_text(box.body)}{box.right}"
    if isinstance(box, Cases):
        rows = "; ".join(f"{box_to_text(v)} {box_to_text(when)}" for v, when in box.rows)
        return f"{{{rows}}}"
    if isinstance(box, Accent | Hot):
        return box_to_text(box.base if isinstance(box, Accent) else box.body)
    raise TypeError(f"no text for {type(box).__name__}")


def _tight(box: Box) -> str:
    made = box_to_text(box)
    alone = isinstance(box, Ident | Num | Indexed | Lowered | Root | Fence | Raised)
    return made if alone else f"({made})"


def equation_to_text(made: Equation) -> str:
    """An equation in one line."""
    return f"{box_to_text(made.left)} = {box_to_text(made.right)}"


def lines_to_text(given: Iterable[Line]) -> str:
    """Equations and groups, one in a line, groups indented under their heading."""
    made: list[str] = []
    for line in given:
        if isinstance(line, Group):
            over = f" for {box_to_text(line.over)}" if line.over is not None else ""
            made.append(f"{line.title}{over}:")
            made.extend(f"    {equation_to_text(e)}" for e in line.equations)
            for note in line.notes:
                made.append(f"  {note.title[0].lower()}{note.title[1:]}:")
                made.extend(f"    {equation_to_text(e)}" for e in note.equations)
        else:
            made.append(equation_to_text(line))
    return "\n".join(made)


def operation_to_text(operation: Operation) -> str:
    """The definition of an operation."""
    inputs = ", ".join(f"{t.name}[{','.join(a.name for a in t.axes)}]" for t in operation.inputs)
    body = lines_to_text(program_lines(operation.program, operation_notation(operation)))
    return f"{operation.label}({inputs})\n{_indent(body)}"


def derivation_to_text(derivation: Derivation, *, steps: bool = False) -> str:
    """The closed form of a derivation, with every step before it where asked for."""
    notation = derivation_notation(derivation)
    made: list[str] = []
    for number, step in enumerate(derivation.steps if steps else (), 1):
        if number == 1 or derivation.steps[number - 2].subject != step.subject:
            made.append(f"{step.subject.name}:")
        made.append(f"  {number:3}. {step.rule}")
        made.append(f"         {box_to_text(notation.box(step.before))}")
        made.append(f"       = {box_to_text(notation.box(step.after))}")
    if made:
        made.append("")
    closed = _indent(lines_to_text(program_lines(derivation.program, notation)))
    return "\n".join([*made, f"{derivation.kind} of {derivation.label}", closed])


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """A verdict in lines: the outcome, then its ground, its witness, its reason and its notes."""
    yield verdict.verdict
    if verdict.ground is not None:
        yield f"ground: {verdict.ground.kind}"
        parts = {
            "sizes": verdict.ground.sizes,
            "regions": verdict.ground.regions,
            "assumes": verdict.ground.assumes,
        }
        yield from (f"{title}: {'; '.join(found)}" for title, found in parts.items() if found)
        if verdict.ground.bound is not None:
            bound = verdict.ground.bound
            yield f"wrong with probability at most 2^{bound.log2} ({bound.kind})"
    if verdict.witness is not None:
        yield "at " + (", ".join(f"{k} = {v}" for k, v in verdict.witness.point.items()) or "every point")
        yield f"left = {verdict.witness.left}"
        yield f"right = {verdict.witness.right}"
    if verdict.reason:
        yield f"reason: {verdict.reason}"
    yield from (f"note: {note}" for note in verdict.notes)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
