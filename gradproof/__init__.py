"""Gradients of neural-network operations: derived in closed form, proved, and turned into fast code."""

from importlib import import_module

__version__ = "0.1.0"

# Public names and the modules that define them, imported when first asked for (PEP 562).
_PUBLIC = {
    "Axis": "gradproof.symbolic.axes",
    "operation": "gradproof.symbolic.operation",
    "operations": "gradproof.symbolic.operation",
    "find": "gradproof.symbolic.operation",
    "derive": "gradproof.symbolic.derivation",
    "prove": "gradproof.symbolic.proof",
    "lower": "gradproof.numeric.kernels",
    "check": "gradproof.numeric.checking.checks",
    "equivalent": "gradproof.numeric.checking.equivalence",
    "build_report": "gradproof.report.build",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
