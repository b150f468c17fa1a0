"""A loop over time whose step is blocks of C between matrix products."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradproof.numeric.lines import (
    Contraction,
    Elementwise,
    Loop,
    Reduction,
    Simple,
    Stack,
    State,
    reads,
)
from gradproof.numeric.targets.c_blocks import NotPrintedError
from gradproof.numeric.targets.loops import uses
from gradproof.numeric.targets.parts import divide
from gradproof.numeric.targets.products import contraction
from gradproof.symbolic.expressions import Entry, Index, Tensor, index

if TYPE_CHECKING:
    from gradproof.numeric.targets.c import CPrinter

Part = list[Simple] | Simple


class StepPrinter:
    """Prints one loop.

    Raises NotPrintedError where its step has no elementwise part, or a line that is no elementwise operation,
    product or reduction.

    - `parts`: the lines of a step, elementwise ones together;
    - `moving`: the code of the arrays that have an entry for each step, by the tensor of a step;
    - `states`: the name of each state that is carried, by its tensor after a step;
    - `buffered`: the tensors of a step that have one array for all steps;
    - `results`: those of them that a product fills and blocks alone read, with how many axes are its columns;
    - `before`: lines before the loop; `used`: the code of what blocks, products and views read.
    """

    def __init__(self, printer: CPrinter, loop: Loop) -> None:
        self.printer, self.loop = printer, loop
        self.kept = dict(loop.keeps)
        self.carried = {s.after: s for s in loop.states}
        self.parts = self.divided()
        self.check()
        self.buffered: list[Tensor] = []
        self.results: dict[Tensor, int] = {}
        self.before: list[str] = []
        self.used: list[str] = []
        self.states: dict[Tensor, str] = {}
        self.moving: dict[Tensor, str] = {}
        self.count = printer.sizes.size(loop.axis)
        sizes = {a.name for tensor in printer.program.inputs for a in tensor.axes} | {loop.axis.name}
        self.step = "t" if "t" not in printer.taken | sizes else "step"

    def write(self) -> None:
        """Print the arrays, the loop, and what it leaves."""
        p, loop = self.printer, self.loop
        p.taken.add(self.step)
        p.terms.clear()
        self.name_states()
        saved_left, saved_owned = p.left, set(p.owned)
        p.left = uses(loop)
        outside, p.body = p.body, []
        p.indent += 1
        p.hoisted = {}
        self.moving = self.paths()
        for part in self.parts:
            self.block(part) if isinstance(part, list) else self.single(part)
        inside, p.body = p.body, outside
        hoisted, p.hoisted = p.hoisted, None
        p.indent -= 1
        p.taken.discard(self.step)
        p.left, p.owned = saved_left, saved_owned
        self.arrays()
        for code, name in hoisted.items():
            p.emit(f"{name} = {code}")
        for code in self.before:
            p.emit(code)
        span = f"reversed(range({self.count}))" if loop.reverse else f"range({self.count})"
        p.emit(f"for {self.step} in {span}:")
        p.body.extend(inside)
        for _, outer in loop.keeps:
            p.owned.add(outer)
        for state in loop.states:
            if p.left[state.last]:
                p.emit(f"{p.name(state.last)} = {self.states[state.after]}.last")

    # --- the plan

    def divided(self) -> list[Part]:
        """The lines of a step, elementwise ones together as far as what they read allows."""
        lines: list[Simple] = []
        for line in self.loop.body:
            if not isinstance(line, Elementwise | Stack | Contraction | Reduction):
                raise NotPrintedError(type(line).__name__)
            lines.append(line)
        return divide(lines, lambda line: isinstance(line, Elementwise | Stack))

    def check(self) -> None:
        """What this way of printing needs of the loop."""
        if not any(isinstance(part, list) for part in self.parts):
            raise NotPrintedError("no elementwise part")
        made = {line.target for part in self.parts for line in (part if isinstance(part, list) else [part])}
        for state in self.loop.states:
            if state.after not in made:
                raise NotPrintedError("a state that the step does not compute")
        if len(self.carried) != len(self.loop.states):
            raise NotPrintedError("two states with one value")
        if any(t.dtype == "integer" or self.printer.is_truth(t) for t in self.carried):
            raise NotPrintedError("a state that is no real number")

    # --- names and arrays

    def name_states(self) -> None:
        p = self.printer
        for state in self.loop.states:
            text, number = f"{p.name(state.after)}_states", 1
            while text in p.taken:
                number += 1
                text = f"{p.name(state.after)}_states{number}"
            p.taken.add(text)
            self.states[state.after] = text

    def paths(self) -> dict[Tensor, str]:
        """The code of the arrays with an entry for each step; names their entries within the step."""
        p = self.printer
        found: dict[Tensor, str] = {}
        for inner, outer in self.loop.reads:
            found[inner] = f"{p.name(outer)}_each"
        for inner, outer in self.loop.keeps:
            found[inner] = f"{p.name(outer)}_each"
        for state in self.loop.states:
            found[state.before] = f"{self.states[state.after]}.before"
            found[state.after] = f"{self.states[state.after]}.after"
        for tensor, code in found.items():
            p.names[tensor] = f"{code}[{self.step}]"
        return found

    def arrays(self) -> None:
        """What is allocated before the loop: what it keeps, its states, and what stays within a step."""
        p = self.printer
        p.helpers |= {"native"}
        for _, outer in self.loop.keeps:
            dims = _dims(outer)
            p.emit(f"{p.name(outer)} = {p.empty(p.shape(dims))}", p.shape_comment(dims))
        for state in self.loop.states:
            p.emit(f"{self.states[state.after]} = {self.state(state)}", p.shape_comment(_dims(state.after)))
        for tensor, name in self.buffers().items():
            dims = _dims(tensor)
            made = p.empty(p.shape(dims))
            if tensor in self.results:
                made = f"native.Result({made}, {self.results[tensor]})"
            p.emit(f"{name} = {made}", p.shape_comment(dims))
        words = set(re.findall(r"\w+", " ".join([*self.before, *self.used])))
        for outer in dict.fromkeys(outer for _, outer in (*self.loop.reads, *self.loop.keeps)):
            name = f"{p.name(outer)}_each"
            if name in words:
                p.emit(f"{name} = native.Steps({p.name(outer)})")

    def state(self, state: State) -> str:
        p = self.printer
        extra = ", reverse=True" if self.loop.reverse else ""
        if state.after in self.kept:
            extra += f", steps={p.name(self.kept[state.after])}"
        return f"native.Carried({p.name(state.initial)}, {self.count}{extra})"

    def buffers(self) -> dict[Tensor, str]:
        return {t: self.printer.names[t] for t in self.buffered}

    # --- parts of a step

    def stored(self, tensor: Tensor) -> str:
        """The code of where a tensor of the step is stored: for each step, or in one array for all."""
        if tensor in self.moving:
            return self.moving[tensor]
        made = {line.target for part in self.parts for line in (part if isinstance(part, list) else [part])}
        if tensor in made and tensor not in self.buffered:
            self.buffered.append(tensor)
        return self.printer.name(tensor)

    def block(self, lines: list[Simple]) -> None:
        p = self.printer
        inside = {line.target: line for line in lines if isinstance(line, Elementwise | Stack)}
        others = [
            line
            for part in self.parts
            if part is not lines
            for line in (part if isinstance(part, list) else [part])
        ]
        outside = {t for line in others for t in reads(line)}
        roots = [t for t in inside if t in outside or t in self.kept or t in self.carried]
        for code in p.bound(inside, roots, self.stored, self.count):
            bound = f"step_{len(p.routines)}"
            self.before.append(f"{bound} = {code}")
            p.emit(f"{bound}({self.step})")
        for line in lines:
            p.done(reads(line))

    def single(self, line: Simple) -> None:
        """A product or a reduction, into its array."""
        p = self.printer
        target = self.stored(line.target)
        if isinstance(line, Contraction) and (made := self.product(line, target)):
            p.emit(made)
        else:
            assert isinstance(line, Contraction | Reduction)
            code = contraction(p, line) if isinstance(line, Contraction) else p.reduced_in_order(line)
            place = f"{target}[{self.step}]" if line.target in self.moving else target
            p.emit(f"{place}.copy_({code})", p.shape_comment(line.indices))
            self.used.append(code + target)
        p.done(reads(line))

    def product(self, line: Contraction, target: str) -> str:
        """A product of a matrix of this step by one that is the same in all steps, written into its array."""
        p = self.printer
        for left, right in ((line.left, line.right), (line.right, line.left)):
            if left.tensor not in self.moving and left.tensor not in self.buffered:
                continue
            if p.left[right.tensor] < 1000 or right.tensor in self.moving:
                continue
            have, other = _plain(left), _plain(right)
            over = tuple(i for i in have if i in line.over)
            rows, columns = have[: len(have) - len(over)], tuple(i for i in other if i not in line.over)
            if have != (*rows, *over) or line.indices != (*rows, *columns) or set(line.over) != set(over):
                continue
            if other == (*columns, *over):
                code = p.matrix(p.name(right.tensor), len(over)) + ".T"
            elif other == (*over, *columns):
                code = p.matrix(p.name(right.tensor), len(columns))
            else:
                continue
            first = self.matrix(left.tensor, len(over))
            factor = p.hoist(code, right.tensor)
            times = f"times_{factor}"
            count = " * ".join(p.sizes.size(i.axis) for i in rows) if rows else "1"
            made = f"{times} = native.Product({factor}, {count})"
            if made not in self.before:
                self.before.append(made)
            return f"{times}({first}, out={self.result(line.target, len(columns))})"
        return ""

    def result(self, tensor: Tensor, columns: int) -> str:
        """Where a product is written to."""
        others = (line for line in self.loop.body if not isinstance(line, Elementwise | Stack))
        if tensor in self.moving or any(tensor in reads(line) for line in others):
            return self.matrix(tensor, columns)
        self.results[tensor] = columns
        return self.stored(tensor)

    def matrix(self, tensor: Tensor, columns: int) -> str:
        """The name of a tensor of the step as a matrix: a view taken before the loop."""
        p = self.printer
        stored = self.stored(tensor)
        stem = stored.replace(".", "_").removesuffix("_each")
        name = f"{stem}_matrices" if tensor in self.moving else f"{stem}_matrix"
        made = f"{stored}.matrices({columns})" if tensor in self.moving else f"{p.matrix(stored, columns)}"
        code = f"{name} = {made}"
        if code not in self.before:
            self.before.append(code)
            self.used.append(stored)
        return f"{name}[{self.step}]" if tensor in self.moving else name


def _plain(read: Entry) -> tuple[Index, ...]:
    return tuple(i for i in read.indices if isinstance(i, Index))


def _dims(tensor: Tensor) -> tuple[Index, ...]:
    return tuple(index(a.name, a) for a in tensor.axes)
