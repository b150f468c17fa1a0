"""The JVP as a program like any other: from inputs and tangents to tangents, for derivatives of any order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from gradproof.symbolic.derivation import derive
from gradproof.symbolic.expressions import Entry, Expr, Tensor, entry, rewrite
from gradproof.symbolic.higher import extended
from gradproof.symbolic.operation import Definition, Program, Recurrence, flat


def tangent_program(program: Program) -> Program:
    """The JVP of a program with the forward statements before it: inputs and tangents to tangents.

    Tangents are called `x_along` instead of `x_dot`: the tangent of `x` in a further JVP is `x_dot` again.
    """
    made = extended(program, derive(program, "jvp"), sum(1 for t in program.inputs if t.dtype == "real"))
    held = tensors_of(program)
    taken = {t.name for t in held}
    names: dict[Tensor, Tensor] = {}
    for tensor in sorted(tensors_of(made) - held, key=lambda t: t.name):
        stem = re.sub(r"_dot\d*", "_along", tensor.name)
        name = next(n for n in (stem, *(f"{stem}{k}" for k in range(2, len(taken) + 3))) if n not in taken)
        taken.add(name)
        names[tensor] = replace(tensor, name=name)
    return Program(
        _renamed(made.inputs, names),
        made.parameters,
        _renamed(made.statements, names),
        _renamed(made.outputs, names),
    )


def tensors_of(program: Program) -> set[Tensor]:
    """Every tensor that a program is given or defines, those of a step included."""
    found = set(program.inputs)
    for s in flat(program.statements):
        if isinstance(s, Definition):
            found.add(s.target)
        else:
            found |= _within(s)
    return found


def _within(r: Recurrence) -> set[Tensor]:
    inner = {c.before for c in r.carried} | {x.inside for x in r.scanned}
    return set(r.targets) | {d.target for d in r.body} | inner


def _renamed(part: Any, names: Mapping[Tensor, Tensor]) -> Any:
    """Statements, or parts of them, over tensors of other names."""

    def visit(node: Expr) -> Expr:
        if isinstance(node, Entry) and node.tensor in names:
            return entry(names[node.tensor], *node.indices)
        return node

    if isinstance(part, Tensor):
        return names.get(part, part)
    if isinstance(part, Expr):
        return rewrite(part, visit)
    if isinstance(part, tuple):
        return tuple(_renamed(p, names) for p in part)
    if is_dataclass(part) and not isinstance(part, type):
        return type(part)(**{f.name: _renamed(getattr(part, f.name), names) for f in fields(part)})
    return part
