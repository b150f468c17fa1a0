"""For tests of one's own: a gradient asserted in one line, and Hypothesis strategies for its inputs.

    from gradproof.testing import assert_gradient

    def test_my_layer_norm():
        assert_gradient(MyLayerNorm.apply, "x: batch d, weight: d, bias: d")

`assert_gradient` and `assert_equivalent` need PyTorch, the strategies Hypothesis too
(`pip install 'gradproof[testing]'`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from hypothesis.strategies import SearchStrategy

    from gradproof.numeric.checking.results import CheckResult

VALUES = ("moderate", "magnitudes", "boundary")
LAYOUTS = ("contiguous", "transposed", "sliced", "expanded")


def assert_gradient(
    fn: Any,
    *given: Any,
    order: int = 1,
    wrt: Sequence[Any] | None = None,
    spec: str | None = None,
    reference: Callable[..., Any] | None = None,
    declared: Callable[..., Any] | None = None,
    seed: int | None = 0,
) -> CheckResult:
    """Assert that the backward of `fn` is the derivative of its forward, exactly; return the answer.

    `given` is a specification of the inputs (`"x: batch time d, w: d h"`), example tensors, a tuple of them
    (as a Hypothesis strategy draws it), or a callable that makes them; with tensors, `spec` names their axes.
    The other arguments are those of `gradproof.check`; the seed is fixed, so that a test gives one answer.

    Raises AssertionError where the answer is *refuted*, with the witness and the diagnosis, or *undecided*,
    with the reason; the message says for each output and input what was found, what was varied, and the
    seed. Raises TargetError or SpecificationError for what cannot be checked.

    >>> import torch
    >>> assert_gradient(torch.nn.functional.silu, "x: batch d").verdict
    'proved'
    """
    __tracebackhide__ = True
    from gradproof.numeric.checking.checks import check

    spec, inputs = _read(given, spec)
    result = check(
        fn, *inputs, wrt=wrt, order=order, spec=spec, reference=reference, declared=declared, seed=seed
    )
    if result.verdict != "proved":
        raise AssertionError(f"the gradient is not proved\n{_text(result)}")
    return result


def assert_equivalent(
    f: Callable[..., Any], g: Callable[..., Any], *given: Any, spec: str | None = None, seed: int | None = 0
) -> CheckResult:
    """Assert that `f` and `g` have the same values, exactly, as a fused kernel and its plain formula have.

    `given` is what `assert_gradient` takes. Raises AssertionError with the point at which they differ.

    >>> import torch
    >>> assert_equivalent(torch.tanh, lambda x: 2 * torch.sigmoid(2 * x) - 1, "x: d").verdict
    'proved'
    """
    __tracebackhide__ = True
    from gradproof.numeric.checking.equivalence import equivalent

    spec, inputs = _read(given, spec)
    result = equivalent(f, g, *inputs, spec=spec, seed=seed)
    if result.verdict != "proved":
        raise AssertionError(f"the functions are not proved to be the same\n{_text(result)}")
    return result


def _read(given: tuple[Any, ...], spec: str | None) -> tuple[str | None, tuple[Any, ...]]:
    """The specification and the inputs among what was given."""
    if len(given) == 1 and isinstance(given[0], str):
        if spec is not None:
            raise TypeError("two specifications were given: one as spec, one in place of the inputs")
        return given[0], ()
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return spec, tuple(given[0])
    if not given and spec is None:
        raise TypeError("give a specification of the inputs ('x: batch d'), or example inputs")
    return spec, given


def _text(result: CheckResult) -> str:
    from rich.console import Console

    from gradproof.check_command import print_result

    page = io.StringIO()
    print_result(result, Console(file=page, highlight=False))
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def tensors(
    shape: tuple[int, ...] | SearchStrategy[tuple[int, ...]],
    *,
    domain: str = "real",
    dtype: torch.dtype | SearchStrategy[torch.dtype] | None = None,
    values: Sequence[str] = VALUES,
    layouts: Sequence[str] = LAYOUTS,
    kinks: bool = True,
    requires_grad: bool = False,
) -> SearchStrategy[torch.Tensor]:
    """A Hypothesis strategy of tensors of floats.

    - `shape`: a tuple, or a strategy of tuples.
    - `domain`: `real`, `positive`, `unit` (between 0 and 1), `simplex` (rows that sum to 1), `mask` (0 and
      1), or an interval such as `[0, 1)`.
    - `dtype`: float64 by default, another one, or a strategy of them; entries are representable in it, and
      still within the domain.
    - `values`: of these kinds one is drawn for each tensor: `moderate` (between -4 and 4), `magnitudes`
      (10^-6 to 10, log-spaced), `boundary` (zeros of both signs, ends of the domain, where exponentials
      saturate or overflow), `extreme` (up to the ends of single precision).
    - `layouts`: `contiguous`, `transposed`, `sliced` (every other entry of a larger tensor), `expanded` (one
      slice for all of the first axis).
    - `kinks`: False keeps entries away from 0.

    >>> from hypothesis import given
    >>> @given(tensors((2, 3), domain="positive"))
    ... def test(x):
    ...     assert (x.log().exp() - x).abs().max() <= 1e-9 * x.max()
    >>> test()
    """
    return _strategies().tensors(
        shape, domain=domain, dtype=_float64() if dtype is None else dtype, values=values, layouts=layouts,
        kinks=kinks, requires_grad=requires_grad,
    )  # fmt: skip


def inputs(
    spec: str,
    *,
    sizes: Mapping[str, int | SearchStrategy[int]] | None = None,
    empty: bool = False,
    dtype: torch.dtype | SearchStrategy[torch.dtype] | None = None,
    values: Sequence[str] = VALUES,
    layouts: Sequence[str] = LAYOUTS,
    kinks: bool = True,
    requires_grad: bool = False,
) -> SearchStrategy[tuple[torch.Tensor, ...]]:
    """A Hypothesis strategy of inputs that fit together: `x: batch time d, w: d h, y: int batch < h`.

    The sizes of the axes are drawn: small ones, and past the width of a vector register for one of them;
    `sizes` fixes some or gives strategies for them, and `empty` allows sizes of 0. A word in front of the
    axes says where numbers lie (`p: unit batch`), integers are below their bound (repeated, and both ends),
    truth values are none, all or some. The other arguments are those of `tensors`.

    >>> from hypothesis import given
    >>> @given(inputs("x: batch d, w: d h"))
    ... def test(drawn):
    ...     x, w = drawn
    ...     assert (x @ w).shape == (x.shape[0], w.shape[1])
    >>> test()
    """
    return _strategies().inputs(
        spec, sizes=sizes, empty=empty, dtype=_float64() if dtype is None else dtype, values=values,
        layouts=layouts, kinks=kinks, requires_grad=requires_grad,
    )  # fmt: skip


def _float64() -> Any:
    return import_module("torch").float64


def _strategies() -> Any:
    try:
        return import_module("gradproof.numeric.checking.strategies")
    except ModuleNotFoundError as problem:
        if problem.name is None or problem.name.partition(".")[0] != "hypothesis":
            raise
        raise ModuleNotFoundError(
            "strategies need Hypothesis: pip install 'gradproof[testing]'", name="hypothesis"
        ) from None


__all__ = ["assert_equivalent", "assert_gradient", "inputs", "tensors"]
