"""Generated Triton: read back and executed exactly, carried out by Triton's interpreter, and compiled.

The interpreter and the compiler need Triton (`make test-triton`); everything else runs without it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gradproof.numeric.exact.programs import TorchProgram
from gradproof.numeric.gpu import blocks
from gradproof.numeric.gpu.blocks import Block
from gradproof.numeric.gpu.language import INSTALLED, INTERPRETED, tl, triton
from gradproof.numeric.gpu.reading import ReadingError, Routine
from gradproof.numeric.kernels import Kernel, lower
from gradproof.numeric.native.blocks import Before, Result, Steps, Turns
from gradproof.numeric.sources import Source
from gradproof.symbolic.operation import Operation, find
from tests.numeric.exact.test_numpy_kernels import arrays_of, masked, tried
from tests.numeric.test_catalogue_kernels import VARIANTS, sizes_of
from tests.numeric.test_native import normalized_lstm

interpreted = pytest.mark.skipif(not INTERPRETED, reason="not in Triton's interpreter: make test-triton")
compiled = pytest.mark.skipif(
    not INSTALLED or INTERPRETED, reason="no Triton that compiles: make test-triton"
)
BRIEF = [
    "silu",
    "softplus",
    "leaky_relu",
    "gelu",
    "relu",
    "softmax",
    "cross_entropy",
    "layer_norm",
    "embedding",
]
BRIEF += ["lstm_cell", "gru"]
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # the interpreter's NumPy
]
LONG = [v for v in VARIANTS if v.label not in BRIEF]


def given(op: Operation, seed: int = 3, dtype: Any = torch.float64) -> list[Any]:
    arrays = masked(arrays_of(op.program.inputs, sizes_of(op.program), seed))
    tensors = [torch.as_tensor(np.ascontiguousarray(a)) for a in arrays]
    return [t.to(dtype) if t.is_floating_point() else t for t in tensors]


def results(kernel: Kernel, inputs: list[Any]) -> list[Any]:
    """Outputs, gradients and tangents, by the source of the kernel's own target."""
    torch.manual_seed(0)
    call, arrays = kernel.call(inputs, {})
    call = replace(call, plain=False)
    with torch.no_grad():
        outputs, kept = kernel.run(call, arrays, in_place=True)
        pulled = kernel.pull(call, kept, [torch.randn_like(o) for o in outputs], in_place=True)
        dots = [torch.randn_like(a) if a.is_floating_point() else None for a in arrays]
        pushed = kernel.push(call, arrays, dots, in_place=True)
    return [r for r in (*outputs, *pulled, *pushed) if r is not None]


def same(op: Operation, inputs: list[Any], **tolerances: Any) -> None:
    made, wanted = (results(lower(op, target), inputs) for target in ("triton", "torch"))
    torch.testing.assert_close(made, wanted, equal_nan=True, **tolerances)


# --- read back


@pytest.mark.parametrize(
    "op",
    [
        *map(find, BRIEF),
        pytest.param(normalized_lstm, marks=pytest.mark.slow, id=normalized_lstm.label),
        *(pytest.param(v, marks=pytest.mark.slow, id=v.label) for v in LONG),
    ],
    ids=lambda op: op.label,
)
def test_text_is_executed_exactly(op: Operation) -> None:
    assert tried(TorchProgram(lower(op, "triton")), given(op), 3).agrees


WRONG = [
    ("silu", "(x * sigmoid(-x) + 1)", "(x * sigmoid(-x) - 1)"),
    ("silu", "sigmoid(-x)", "sigmoid(x)"),
    ("silu", "dx_out + at, dx", "dx_out + at, dy"),
    (
        "leaky_relu",
        "tl.where(mask, tl.full((), 1, REAL), slope)",
        "tl.where(mask, slope, tl.full((), 1, REAL))",
    ),
    ("leaky_relu", "tl.full((), slope, REAL)", "tl.full((), 0.0100001, REAL)"),
    ("layer_norm", "weight_in + i", "weight_in + (at + 1) % features"),
    ("layer_norm", "(dxhat - xhat", "(dxhat + xhat"),
    ("lstm_cell", "(1 - ", "(2 - "),
]


class Changed(Kernel):
    """A kernel whose backward pass says something else."""

    def __init__(self, op: Operation, right: str, wrong: str) -> None:
        super().__init__(op.program, "triton", f"{op.label}, changed", lower(op, "triton").defaults)
        self.right, self.wrong = right, wrong

    def source_of(self, *given: Any, **named: Any) -> Source:
        source = super().source_of(*given, **named)
        head, mark, backward = source.text.partition("def vjp_1")
        assert not mark or self.right in backward
        return replace(source, text=head + mark + backward.replace(self.right, self.wrong))


def changed(name: str, right: str, wrong: str) -> Kernel:
    return Changed(find(name), right, wrong)


@pytest.mark.parametrize(("name", "right", "wrong"), WRONG)
def test_changed_text_is_noticed(name: str, right: str, wrong: str) -> None:
    assert not tried(TorchProgram(changed(name, right, wrong)), given(find(name)), 3).agrees


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("at < count", "at <= count", "a place beside an array"),
        ("s_in + at", "s_in + at + 1", "a place beside an array"),
        ("dx_out + at", "dx_out + at // 2", "stored twice"),
        ("tl.store(dx_out + at, dx, mask=inside)", "tl.store(dx_out + at, dx)", "no store"),
        ("tl.load(dy_in + at, mask=inside)", "tl.load(dy_in + at)", "without a mask"),
        ("tl.load(dy_in + at, mask=inside)", "tl.load(dy_in + at, mask=at < count)", "two masks"),
        ("dx = dy", "dx: tl.tensor = dy", "no statement"),
        ("sigmoid(-x)", "__import__('os').abort()", "no expression"),
        ("sigmoid(-x)", "tl.exp2(-x)", "no word"),
        ("sigmoid(-x)", "[y for y in x]", "no expression"),
        (
            "tl.load(x_in + at, mask=inside).to(REAL)",
            "tl.load(x_in + at, mask=inside).to(tl.bfloat16)",
            "no dtype",
        ),
    ],
)
def test_text_that_is_never_printed_is_refused(right: str, wrong: str, message: str) -> None:
    kernel = changed("silu", right, wrong)
    x = torch.randn(11)
    _, saved = kernel.forward(x)
    if INTERPRETED:
        pytest.skip("it would be interpreted")
    with pytest.raises(ReadingError, match=message):
        kernel.vjp(saved, x)


def test_what_is_beside_the_count_is_left_alone() -> None:
    """The lanes beyond the last entry compute nothing and store nothing."""
    routine = Routine.of(
        "def k(x_in, y_out, count, BLOCK, REAL):\n"
        "    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)\n"
        "    inside = at < count\n"
        "    tl.store(y_out + at, log(tl.load(x_in + at, mask=inside).to(REAL)), mask=inside)"
    )
    x, y = torch.tensor([1.0, 2.0, -1.0]), torch.zeros(3)
    for lanes in (1, 2, 4):
        routine.run([x, y], 2, [], torch.float32, lanes)
        assert y.tolist() == [0.0, pytest.approx(np.log(2)), 0.0]


def test_nothing_is_computed_for_no_entries() -> None:
    k = lower("silu", "triton")
    (y,), saved = k.forward(torch.zeros(0, 3))
    assert y.shape == (0, 3)
    assert k.vjp(saved, y)[0].shape == (0, 3)


# --- where it runs


def test_recurrences_on_a_gpu_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a PyTorch kernel runs in its own place, by where the arrays of a call lie."""
    kernel = lower("gru", "torch")
    call = kernel.call(given(find("gru")), {})[0]
    call = replace(call, plain=False, on_gpu=True)
    monkeypatch.setattr(kernel.library, "on_gpu", lambda arrays: True)
    assert kernel.native(call, in_place=True) == "triton"
    assert kernel.native(call, in_place=False) == ""
    assert lower("silu", "torch").native(call, in_place=True) == ""
    monkeypatch.setattr(kernel.library, "on_gpu", lambda arrays: not arrays)
    assert kernel.native(call, True, [torch.zeros(1)]) == ""


def test_on_a_gpu_it_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "INSTALLED", False)
    monkeypatch.setattr(blocks, "_memory", lambda array: "cuda")
    with pytest.raises(RuntimeError, match=r"pip install 'gradproof\[triton\]'"):
        blocks.runs_in_triton([torch.zeros(1)])
    assert not blocks.compiles_for(torch.zeros(1))


# --- Triton's interpreter


@interpreted
@pytest.mark.parametrize("op", [*VARIANTS, normalized_lstm], ids=lambda op: op.label)
def test_interpreted_is_what_pytorch_computes(op: Operation) -> None:
    same(op, given(op), rtol=1e-11, atol=1e-11)


ELEMENTWISE = [
    v for v in VARIANTS if len(v.program.inputs) == 1 and v.topic in ("activations", "elementwise")
]


@interpreted
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.label)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ragged_ends_of_drawn_shapes(op: Operation, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ENTRIES", 16)
    rng = np.random.default_rng(len(op.label))
    for _ in range(6):
        shape = rng.integers(0, 7, rng.integers(0, 4))
        same(op, [torch.as_tensor(rng.random(shape), dtype=dtype) + 0.1])


EXTREMES = [0.0, -0.0, torch.inf, -torch.inf, torch.nan]
EXTREMES += [s * v for v in (1e-42, 1e-30, 1e-4, 1.0, 20.0, 88.0, 104.0, 1e10, 1e30) for s in (1, -1)]


@interpreted
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.label)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes(op: Operation, dtype: Any) -> None:
    same(op, [torch.tensor(EXTREMES, dtype=dtype)], rtol=4e-6 if dtype == torch.float32 else 1e-14, atol=0)


@interpreted
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.label)
def test_error_in_float32_is_that_of_pytorch(op: Operation) -> None:
    """In units in the last place, against float64; the leaves are PyTorch's in the interpreter."""
    spread = np.logspace(-6, 1.9, 4001)
    x = torch.from_numpy(np.concatenate([spread, -spread]).astype(np.float32))
    exact = results(lower(op, "torch"), [x.double()])

    def units(made: list[Any]) -> list[float]:
        return [
            float(
                ((m - e).abs() / torch.from_numpy(np.spacing(np.abs(e.float().numpy())))).nan_to_num().max()
            )
            for m, e in zip(made, exact, strict=True)
        ]

    for mine, theirs in zip(*(units(results(lower(op, t), [x])) for t in ("triton", "torch")), strict=True):
        assert mine <= 1.001 * theirs + 1


@interpreted
def test_low_precision_is_computed_in_float32() -> None:
    x = torch.linspace(-9, 9, 999).bfloat16()
    y = torch.empty(999, dtype=torch.bfloat16)
    text = sys.modules[lower("silu", "triton").compiled(True, frozenset()).forward.__module__]
    s = torch.empty(999)
    text.forward_1(x, s, y, 999)
    torch.testing.assert_close(s, torch.sigmoid(x.float()))
    # The interpreter cuts off what it stores in bfloat16; a GPU rounds.
    torch.testing.assert_close(y.float(), torch.nn.functional.silu(x.float()), rtol=2.0**-7, atol=0)
    same(find("silu"), [x])


# --- Triton's compiler, for a GPU that is not there


@compiled
@pytest.mark.parametrize(
    "name", ["silu", "gelu", "leaky_relu", "dropout", "cross_entropy", "lstm_cell", "gru"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_kernel_compiles(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Block, tuple[Any, ...]]] = []
    bind = Block.bind

    def noted(made: Block, steps: int, *given: Any) -> Any:
        calls.append((made, given))
        return bind(made, steps, *given)

    monkeypatch.setattr(Block, "bind", noted)
    results(lower(name, "triton"), given(find(name), dtype=dtype))
    assert calls
    for made, passed in calls:
        assert ".visible .entry" in assembled(made, passed, dtype)


def assembled(made: Block, passed: Sequence[Any], dtype: Any) -> str:
    """What Triton compiles a kernel to, for arguments like these."""
    from triton.backends.compiler import GPUTarget  # pyright: ignore[reportMissingImports]
    from triton.compiler import ASTSource  # pyright: ignore[reportMissingImports]

    kinds = {torch.float32: "fp32", torch.float64: "fp64", torch.bool: "i1", torch.int64: "i64"}
    names = [p.name for p in made.compiled.params]
    signature = dict.fromkeys(names, "constexpr")
    for parameter, value in zip(made.compiled.params, passed, strict=False):
        entry = value[0] if isinstance(value, Steps | Before | Turns | Result) else value
        array = isinstance(entry, torch.Tensor)
        signature[parameter.name] = f"*{kinds[entry.dtype]}" if array else parameter.annotation_type or "i32"
    real = tl.float64 if dtype == torch.float64 else tl.float32
    constants = {(len(names) - 2,): blocks.ENTRIES, (len(names) - 1,): real}
    source = ASTSource(made.compiled, signature, constexprs=constants)
    options = {"enable_fp_fusion": False}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
