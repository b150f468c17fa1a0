"""The printer of the C target: PyTorch source whose loops have the elementwise part of a step in C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from gradproof.numeric.lines import Loop
from gradproof.numeric.targets.c_blocks import NotPrintedError, Pointwise, Routine
from gradproof.numeric.targets.c_loops import StepPrinter
from gradproof.numeric.targets.torch import TorchPrinter
from gradproof.symbolic.expressions import Tensor


class CPrinter(TorchPrinter):
    """Prints for torch tensors on the CPU: blocks of C between matrix products into arrays made once."""

    def loop(self, loop: Loop) -> None:
        """A loop with its step as blocks; as the PyTorch target prints it where a step has none."""
        state = (dict(self.names), set(self.taken), list(self.body), set(self.owned), list(self.routines))
        try:
            StepPrinter(self, loop).write()
        except NotPrintedError:
            self.names, self.taken, self.body, self.owned, self.routines = state
            super().loop(loop)

    def product(self, left: str, right: str) -> str:
        self.helpers.add("native")
        return f"native.matmul({left}, {right})"

    def bound(
        self,
        lines: Mapping[Tensor, Pointwise],
        roots: Sequence[Tensor],
        stored: Callable[[Tensor], str],
        count: str,
    ) -> Iterator[str]:
        """Print lines that compute the roots as routines; the code that binds each to its arrays."""
        routine = Routine(self, lines)
        name = self.routine_name()
        self.routines.append(routine.write(name, roots))
        given = ", ".join(stored(t) for t in routine.arrays.values())
        sizes = ", ".join(routine.sizes.values())
        scalars = ", ".join(routine.scalars.values())
        more = f", [{sizes}]" + (f", [{scalars}]" if scalars else "")
        yield f"C.{name}.bind({count}, [{given}]{more})"

    def routine_name(self) -> str:
        return f"{self.stem}_{len(self.routines) + 1}"
