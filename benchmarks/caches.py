"""Making the symbolic part cold again within a process."""

from __future__ import annotations

import sys

from gradproof.symbolic import expressions


def clear_caches() -> None:
    """Forget every remembered result of `gradproof.symbolic`: proofs, signs, domains, substitutions.

    What stays warm: the modules, the programs of the operations, the interned expressions and their keys.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("gradproof.symbolic"):
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if callable(clear):
                    clear()
    expressions._substituted.clear()  # pyright: ignore[reportPrivateUsage]
