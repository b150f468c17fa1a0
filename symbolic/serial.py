"""Expressions, programs and derivations as data: trees of dictionaries and lists, ready for JSON."""

from __future__ import annotations

from typing import Any

from gradproof.symbolic.derivation import Derivation, Step
from gradproof.symbolic.equations import derivation_notation
from gradproof.symbolic.expressions import (
    Add,
    Bracket,
    Call,
    Constant,
    Derivative,
    Entry,
    Expr,
    Index,
    Mul,
    Number,
    Parameter,
    Power,
    Reduce,
    Size,
    Tensor,
    Where,
)
from gradproof.symbolic.latex import derivation_to_latex, latex
from gradproof.symbolic.notation import Notation
from gradproof.symbolic.operation import Definition, Operation, Program, Recurrence, flat

Data = dict[str, Any]


def expression_to_data(expr: Expr) -> Data:
    """An expression as a tree; exact numbers are texts, children come in order.

    >>> expression_to_data(Add((Number(1), Constant("pi"))))["kind"]
    'add'
    """
    children = [expression_to_data(child) for child in expr.children]
    if isinstance(expr, Number):
        return {"kind": "number", "value": str(expr.value)}
    if isinstance(expr, Parameter | Constant):
        return {"kind": type(expr).__name__.lower(), "name": expr.name}
    if isinstance(expr, Size):
        return {"kind": "size", "axis": expr.axis.name}
    if isinstance(expr, Index):
        return {"kind": "index", "name": expr.name, "axis": expr.axis.name}
    if isinstance(expr, Entry):
        return {"kind": "entry", "tensor": expr.tensor.name, "indices": children}
    if isinstance(expr, Add | Mul):
        return {"kind": type(expr).__name__.lower(), "parts": children}
    if isinstance(expr, Power):
        return {"kind": "power", "base": children[0], "exponent": str(expr.exponent)}
    if isinstance(expr, Call):
        return {"kind": "call", "function": expr.function, "arguments": children}
    return _compound_to_data(expr, children)


def _compound_to_data(expr: Expr, children: list[Data]) -> Data:
    if isinstance(expr, Reduce):
        over = [{"name": i.name, "axis": i.axis.name} for i in expr.indices]
        return {"kind": expr.kind, "over": over, "body": children[0]}
    if isinstance(expr, Bracket):
        return {"kind": "bracket", "relation": expr.relation, "left": children[0], "right": children[1]}
    if isinstance(expr, Where):
        return {"kind": "where", "condition": children[0], "yes": children[1], "no": children[2]}
    if isinstance(expr, Derivative):
        return {"kind": "derivative", "body": children[0], "by": children[1]}
    raise TypeError(f"no data for {type(expr).__name__}")


def tensor_to_data(tensor: Tensor) -> Data:
    """A tensor as `list --json` shows it; an integer tensor also says which axis its entries index."""
    made: Data = {
        "name": tensor.name,
        "axes": [axis.name for axis in tensor.axes],
        "dtype": tensor.dtype,
        "domain": tensor.domain,
    }
    if tensor.over is not None:
        made["over"] = tensor.over.name
    return made


def operation_to_data(operation: Operation) -> Data:
    """What an operation takes and gives, as `list --json` shows it."""
    return {
        "name": operation.name,
        "topic": operation.topic,
        "inputs": [tensor_to_data(t) for t in operation.inputs],
        "outputs": [tensor_to_data(t) for t in operation.outputs],
        "options": {name: [str(v) for v in values] for name, values in operation.choices.items()},
        "hyperparameters": {name: str(h.default) for name, h in operation.hyperparameters.items()},
        "reference": operation.reference,
    }


def definition_to_data(d: Definition) -> Data:
    """A definition: what it defines, over which indices, as what."""
    over = [{"name": i.name, "axis": i.axis.name} for i in d.indices]
    made: Data = {"target": d.target.name, "indices": over, "value": expression_to_data(d.value)}
    if d.source:
        made["source"] = d.source
    return made


def recurrence_to_data(r: Recurrence) -> Data:
    """A recurrence: its step, and how the steps are joined; tensors by name."""
    return {
        "recurrence": r.name,
        "axis": r.axis.name,
        "reverse": r.reverse,
        "body": [definition_to_data(d) for d in r.body],
        "carried": [
            {
                "before": c.before.name,
                "after": c.after.name,
                "initial": c.initial.name if c.initial else None,
                "last": c.last.name,
            }
            for c in r.carried
        ],
        "scanned": [_edge(s.inside, s.outside, s.initial, s.shift) for s in r.scanned],
        "collected": [_edge(c.inside, c.outside, c.initial, c.shift) for c in r.collected],
        "summed": [{"inside": i.name, "outside": o.name} for i, o in r.summed],
    }


def _edge(inside: Tensor, outside: Tensor, initial: Tensor | None, shift: int) -> Data:
    start = initial.name if initial else None
    return {"inside": inside.name, "outside": outside.name, "initial": start, "shift": shift}


def program_to_data(program: Program) -> Data:
    """A program: its inputs, its statements with every application opened, its outputs."""
    return {
        "inputs": [tensor_to_data(t) for t in program.inputs],
        "parameters": [{"name": p.name, "domain": p.domain} for p in program.parameters],
        "statements": [
            recurrence_to_data(s) if isinstance(s, Recurrence) else definition_to_data(s)
            for s in flat(program.statements)
        ],
        "outputs": [tensor_to_data(t) for t in program.outputs],
    }


def step_to_data(step: Step, notation: Notation | None = None) -> Data:
    """A step: the rule, where it was applied (child numbers), and the expression before and after.

    With a notation the expressions are also given as LaTeX.
    """
    made: Data = {
        "subject": step.subject.name,
        "rule": step.rule,
        "where": list(step.where),
        "before": expression_to_data(step.before),
        "after": expression_to_data(step.after),
    }
    if notation is not None:
        made["latex"] = {"before": latex(step.before, notation), "after": latex(step.after, notation)}
    return made


def derivation_to_data(derivation: Derivation) -> Data:
    """A derivation: its closed form and its steps."""
    notation = derivation_notation(derivation)
    return {
        "operation": derivation.label,
        "kind": derivation.kind,
        "program": program_to_data(derivation.program),
        "latex": derivation_to_latex(derivation),
        "results": {name: tensor.name for name, tensor in derivation.results.items()},
        "steps": [step_to_data(step, notation) for step in derivation.steps],
    }
