"""Which programs multiply matrices and do nothing else: those can be computed in bfloat16 itself."""

from __future__ import annotations

from gradproof.symbolic.expressions import Add, Entry, Expr, Mul, Reduce
from gradproof.symbolic.operation import Definition, Program, flat


def is_bilinear(program: Program) -> bool:
    """Whether each line adds up inputs, their sums, and contractions of two of them, and one is there."""
    found = False
    for statement in flat(program.statements):
        if not isinstance(statement, Definition):
            return False
        value = statement.value
        for term in value.terms if isinstance(value, Add) else (value,):
            summed = isinstance(term, Reduce) and term.kind == "sum"
            parts = _factors(term.body if isinstance(term, Reduce) and summed else term)
            if len(parts) > 1 + summed or not all(_is_input(part, program) for part in parts):
                return False
            found |= len(parts) == 2
    return found


def _factors(expr: Expr) -> tuple[Expr, ...]:
    return expr.factors if isinstance(expr, Mul) else (expr,)


def _is_input(expr: Expr, program: Program) -> bool:
    return isinstance(expr, Entry) and expr.tensor in program.inputs
