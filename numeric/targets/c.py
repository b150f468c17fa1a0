"""The printer of the C target: PyTorch source whose loops have the elementwise part of a step in C."""

from __future__ import annotations

from gradproof.numeric.lines import Loop
from gradproof.numeric.targets.c_blocks import NotPrintedError
from gradproof.numeric.targets.c_loops import StepPrinter
from gradproof.numeric.targets.torch import TorchPrinter


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

    def routine_name(self) -> str:
        return f"{self.stem}_{len(self.routines) + 1}"
