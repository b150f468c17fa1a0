"""What the name of a module in front of a function says: where libraries differ, which of them is meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

MODULES = frozenset(
    (
        "np", "numpy", "jnp", "jax", "lax", "nn", "torch", "F", "functional", "tf", "linalg", "math", "sp",
        "sympy", "scipy", "special", "sc", "keras", "mp", "mpmath", "stats", "activations",
    )
)  # fmt: skip
"""What may stand in front of the name of a function."""

Value = tuple[str, str]
"""The kind and the text of an argument: `("name", "True")`."""

_TORCH = frozenset(("torch", "F", "functional"))
_NUMPY = frozenset(("np", "numpy", "jnp"))
_TRUE: Value = ("name", "True")
_SPREAD = "the mean of the squares (NumPy) or their sum over n - 1 (PyTorch); write `ddof=0` or `ddof=1`"
_LAYERS = (
    "layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "normalize", "cosine_similarity",
)  # fmt: skip


class ModuleError(ValueError):
    """A function that is another one in that module, or one of which libraries mean different things."""


def meaning(path: str | None, name: str, keywords: Collection[str]) -> tuple[str, Mapping[str, Value]]:
    """The function that `path.name(...)` is here, and the arguments that it has beyond those given.

    `path` is None for a method `x.name(...)`. Raises ModuleError for what would be another function.

    >>> meaning("np", "sinc", ())
    ('sincpi', {})
    >>> meaning("torch", "var", ())
    ('var', {'ddof': ('number', '1')})
    >>> meaning(None, "exp", ())
    ('exp', {})
    """
    roots = set[str]() if path is None else set(path.split("."))
    if name in ("var", "std") and not set(keywords) & {"ddof", "correction", "unbiased"}:
        if path is None:
            raise ModuleError(f"`.{name}()` can be read as one with {_SPREAD}")
        if roots & _TORCH:
            return name, {"ddof": ("number", "1")}
    if name == "repeat" and path is None:
        raise ModuleError(
            "`.repeat()` can be read as each entry so many times (NumPy) or the whole so many times "
            "(PyTorch); write `np.repeat(x, 2)` or `tile(x, 2)`"
        )
    if name == "pad" and roots & (_NUMPY | _TORCH):
        return ("pad_last" if roots & _TORCH else "pad_every"), {}
    if name == "sinc" and roots & (_NUMPY | _TORCH | {"special"}):
        return "sincpi", {}
    if name == "gelu" and "approximate" not in keywords:
        if roots >= {"jax", "nn"}:
            return "gelu", {"approximate": _TRUE}
        if roots == {"nn"}:
            raise ModuleError("`nn.gelu` is approximated by tanh in JAX; write `gelu(x)` or `gelu_tanh(x)`")
    if name == "kl_div" and roots & _TORCH:
        return "kl_div_loss", {}
    if name in ("softmax", "log_softmax", "logsumexp") and roots & {"special", "sc"} and not keywords:
        return name, {"axis": ("none", "")}
    if name == "rem" and "lax" in roots:
        return "fmod", {}
    if name == "remainder" and roots == {"math"}:
        raise ModuleError("`math.remainder` rounds to the nearest; write `x - y*round(x/y)`, or `x % y`")
    if name in _LAYERS and roots & _TORCH:
        raise ModuleError(
            f"`{name}` has other arguments and a default of eps in PyTorch; write it without a module and "
            "give eps"
        )
    if name in ("gammainc", "betainc", "expint") and roots & {"mp", "mpmath"}:
        raise ModuleError(f"`{name}` is another function in mpmath; write it without a module, as in SciPy")
    return name, {}


def constant(name: str) -> str:
    """The name of a constant of a module, as it is written without one."""
    return "E" if name == "e" else name
