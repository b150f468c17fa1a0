"""The texts of a claim over arrays, read into formulas over named axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradproof.symbolic.array_latex import latex_names, parse_latex_condition, parse_latex_statements
from gradproof.symbolic.array_latex_parser import Declared
from gradproof.symbolic.array_names import MAX_SHORTEST, Names, TooShortError
from gradproof.symbolic.array_pass import ClaimShapeError, Parse, Pass, Reading
from gradproof.symbolic.arrays import (
    ShapeError,
)
from gradproof.symbolic.claims_file import Claim
from gradproof.symbolic.domain import Domain, parse_domain
from gradproof.symbolic.syntax import (
    ParseError,
    Statement,
    Syntax,
    left_side,
    parse_expression,
    parse_statements,
)


def read_claim_texts(claim: Claim) -> Reading:
    """Read the texts of a claim, over axes with as many places as they ask for."""
    claim = latex_names(claim) if claim.latex else claim
    shortest: dict[str, int] = {}
    while True:
        try:
            return _read_over(claim, shortest)
        except TooShortError as problem:
            if problem.least > MAX_SHORTEST:
                raise ParseError(
                    f"the axis {problem.axis} would need {problem.least} places; at most {MAX_SHORTEST}"
                ) from None
            shortest[problem.axis] = problem.least


def _read_over(claim: Claim, shortest: dict[str, int]) -> Reading:
    """Read the texts of a claim, again for as long as something is learned too late."""
    parse = _latex_of(claim) if claim.latex else parse_statements
    names = Names(domains=dict(claim.domain), shortest=shortest)
    for name, axes in claim.axes.items():
        names.declare(name, axes, claim.domain.get(name, "real"))
    by, labels = _by(claim, names)
    conditions = [_condition(text, claim) for text in claim.where]
    conditions = [c for c in conditions if not _narrowed(c, names)]
    learned = -1
    while True:
        names.late, names.definitions, again = False, {}, len(names.learned) > learned
        learned = len(names.learned)
        try:
            reading = Pass(claim, names, by, labels, parse).read(conditions)
        except (ParseError, ShapeError, ClaimShapeError):
            if names.late and again:
                continue
            raise
        if not names.late:
            return reading
        if not again:
            unknown = sorted(
                k.rpartition(":")[2] for k in names.needed if (k not in names.learned and "@" in k) or False
            )
            said = f": {', '.join(unknown)}" if unknown else ""
            raise ParseError(f"the axis of an index is not known{said}; use it as in `x[i]`")


def _condition(text: str, claim: Claim) -> Syntax:
    return parse_latex_condition(text, _declared(claim)) if claim.latex else parse_expression(text)


def _declared(claim: Claim) -> Declared:
    """What a claim declares: it says which subscripts are indices."""
    ranks = {name: len(axes) for name, axes in claim.axes.items()}
    ranks |= {name: 0 for name in claim.domain if name not in ranks}
    cotangent = left_side(parse_expression(claim.cotangent))[0] if claim.cotangent else "g"
    if claim.kind in ("vjp", "jvp"):
        ranks.setdefault(cotangent, 8)
    axes = frozenset(a for over in claim.axes.values() for a in over)
    named = [*claim.wrt, *([claim.cotangent] if claim.cotangent else [])]
    labels = {i for text in named for i in left_side(parse_expression(text))[1]}
    return Declared(ranks, axes, cotangent, frozenset(labels))


def _latex_of(claim: Claim) -> Parse:
    """How the LaTeX of a claim is read, one text after the other."""
    first = _declared(claim)
    ranks, labels = dict(first.ranks), set(first.labels)

    def parse(text: str) -> Sequence[Statement]:
        declared = Declared(dict(ranks), first.axes, first.cotangent, frozenset(labels))
        made = parse_latex_statements(text, declared)
        labels.update(i for s in made for i in s.indices)
        ranks.update({s.name: len(s.indices) or 8 for s in made if s.name})
        return made

    return parse


def _by(claim: Claim, names: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names to differentiate by, and the indices that are named behind them."""
    by: list[str] = []
    labels: list[str] = []
    for text in claim.wrt:
        name, indices = left_side(parse_expression(text))
        if name not in names.tensors:
            names.declare(name, (), claim.domain.get(name, "real"))
        tensor = names.tensors[name]
        tensor = names.structures.get(tensor, tensor)
        if indices and len(indices) != len(tensor.axes):
            raise ParseError(f"{text!r}: {name} has {len(tensor.axes)} axes")
        for label, axis in zip(indices, tensor.axes, strict=False):
            names.learn(f"claim:{label}", axis)
        if tensor.structure in ("symmetric", "positive definite"):
            # Differentiated by every entry by itself, and only then taken to be symmetric.
            names.tensors[name] = replace(tensor, structure="")
            names.structures[names.tensors[name]] = tensor
        by.append(name)
        labels += indices
    if len(set(labels)) < len(labels):
        raise ParseError("an index is named twice in 'wrt'")
    return tuple(by), tuple(labels)


def _narrowed(condition: Syntax, names: Names) -> bool:
    """Whether a condition such as `x > 0` only narrows the domain of a tensor, which then is done."""
    if condition.kind != "compare" or len(condition.parts) != 2:
        return False
    left, right = condition.parts
    text = right.text if right.kind == "number" else ""
    if right.kind == "sign" and right.parts[0].kind == "number":
        text = right.text + right.parts[0].text
    relation = condition.text
    if (
        left.kind != "name"
        or left.text not in names.tensors
        or not text
        or relation not in (">", ">=", "<", "<=")
    ):
        return False
    tensor = names.tensors[left.text]
    if tensor.dtype != "real" or tensor.structure:
        return False
    before, more = (
        parse_domain(tensor.domain) if tensor.domain != "real" else Domain(),
        parse_domain(relation + text),
    )
    if len(before.intervals) != 1 or before.integer:
        return False
    met = before.intervals[0].meet(more.intervals[0])
    names.tensors[left.text] = replace(tensor, domain=str(Domain((met,))))
    return True
