"""Generated C: what is compiled, what is read back and executed exactly, and PyTorch's source agree."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compositions import COMPOSITIONS

from gradproof.numeric.exact.programs import TorchProgram
from gradproof.numeric.kernels import Kernel, lower
from gradproof.numeric.native import blocks, compiler, products
from gradproof.numeric.native.reading import Routine
from gradproof.symbolic.catalogue.axes import TIME
from gradproof.symbolic.operation import Array, Builder, Operation, find, operation
from tests.numeric.cells import STATES, WEIGHTS, normalized_cell
from tests.numeric.exact.test_numpy_kernels import arrays_of, tried
from tests.numeric.test_catalogue_kernels import sizes_of

compiled_here = pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler here")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


@operation("recurrent", STATES | WEIGHTS, register=False)
def normalized_lstm(
    let: Builder, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array
) -> tuple[Array, Array]:
    """A recurrence with sums over the hidden axis within a step."""
    made = let.repeat(
        normalized_cell,
        TIME,
        states={"h0": (h0, "h"), "c0": (c0, "c")},
        scanned={"x": x},
        shared={"w_ih": w_ih, "w_hh": w_hh},
    )
    return made["h"], made["c_last"]


REPEATED: list[Operation] = [
    find("lstm"),
    find("gru"),
    find("rnn"),
    find("rnn(nonlinearity=relu)"),
    normalized_lstm,
    *COMPOSITIONS,
]


def given(op: Operation, dtype: Any = torch.float64) -> list[Any]:
    arrays = arrays_of(op.program.inputs, sizes_of(op.program), 3)
    tensors = [torch.as_tensor(np.ascontiguousarray(a)) for a in arrays]
    return [t.to(dtype) if t.is_floating_point() else t for t in tensors]


def results(kernel: Kernel, inputs: list[Any], *, native: bool) -> list[Any]:
    """Outputs, gradients and tangents, with the C or without it."""
    torch.manual_seed(0)
    call, arrays = kernel.call(inputs, {})
    call = replace(call, plain=native)
    assert kernel.is_native(call, in_place=True) == native
    with torch.no_grad():
        outputs, kept = kernel.run(call, arrays, in_place=True)
        pulled = kernel.pull(call, kept, [torch.randn_like(o) for o in outputs], in_place=True)
        pushed = kernel.push(call, arrays, [torch.randn_like(a) for a in arrays], in_place=True)
    return [r for r in (*outputs, *pulled, *pushed) if r is not None]


def same(op: Operation, inputs: list[Any], rtol: float = 1e-11, atol: float = 1e-11) -> None:
    kernel = lower(op, "torch")
    made, wanted = (results(kernel, inputs, native=native) for native in (True, False))
    torch.testing.assert_close(made, wanted, rtol=rtol, atol=atol)


@compiled_here
@pytest.mark.parametrize("op", REPEATED, ids=lambda op: op.label)
def test_compiled_is_what_pytorch_computes(op: Operation) -> None:
    same(op, given(op))


@compiled_here
@pytest.mark.parametrize("op", [find("lstm"), find("gru")], ids=lambda op: op.label)
def test_compiled_in_float32(op: Operation) -> None:
    same(op, given(op, torch.float32), rtol=1e-4, atol=1e-5)


@compiled_here
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 1)], ids=["no batch", "no step", "one step"])
def test_compiled_at_the_ends_of_sizes(shape: tuple[int, int]) -> None:
    batch, time = shape
    rand = torch.randn
    x, states = rand(batch, time, 3), [rand(batch, 4) for _ in range(2)]
    weights = [rand(4, 4, 3), rand(4, 4, 4), rand(4, 4), rand(4, 4)]
    same(find("lstm"), [t.double() for t in (x, *states, *weights)])


@compiled_here
def test_compiled_takes_any_layout() -> None:
    rand = torch.randn
    x = rand(3, 5, 2).double().permute(2, 1, 0)
    states = [rand(1, 4).double().expand(2, 4), rand(4, 4).double()[::2]]
    weights = [rand(3, 4, 4).double().permute(1, 2, 0), rand(4, 8, 4).double()[:, ::2]]
    same(find("lstm"), [x, *states, *weights, rand(4, 8).double()[:, ::2], rand(4, 1).double().expand(4, 4)])


@pytest.mark.parametrize("op", [find("gru"), normalized_lstm], ids=lambda op: op.label)
def test_text_is_executed_exactly(op: Operation) -> None:
    trial = tried(TorchProgram(lower(op, "c")), given(op), 3)
    assert trial.agrees


@pytest.mark.parametrize(("right", "wrong"), [("((1 - h_t", "((2 - h_t"), ("+ dh_t_in", "- dh_t_in")])
def test_changed_text_is_noticed(right: str, wrong: str) -> None:
    kernel = Kernel(find("rnn").program, "c", f"rnn with {wrong}", {})
    module = vars(sys.modules[kernel.compiled(True, frozenset()).vjp.__module__])
    text: str = module["C"].text
    start = text.index("void vjp_1")
    assert right in text[start:]
    module["C"] = blocks.Blocks(text[:start] + text[start:].replace(right, wrong, 1))
    assert not tried(TorchProgram(kernel), given(find("rnn")), 3).agrees


LEAF = """
void leaf(void **arrays, const long long *sizes, const real *scalars)
{
    const real *restrict x_in = arrays[0];
    real *restrict y_out = arrays[1];
    const long long n = sizes[0];
    INDEPENDENT
    for (long long i = 0; i < n; i++) {
        const real y = FUNCTION(x_in[i]);
        y_out[i] = y;
    }
}
"""


@pytest.mark.parametrize(("right", "wrong", "error"), [
    ("i = 0", "i = 1", "a loop counts i from 0, found 1"),
    ("i < n", "n < n", "a loop counts i from 0"),
    ("(x_in[i])", "(y_out[i])", "y_out is written and read by the same routine"),
    ("y_out[i]", "y_out[i - 1]", "y_out is written 1 places before its beginning"),
])  # fmt: skip
def test_what_c_would_do_otherwise_is_not_read_back(right: str, wrong: str, error: str) -> None:
    text = LEAF.replace("FUNCTION", "exp").replace(right, wrong)
    with pytest.raises((ValueError, IndexError), match=error):
        Routine("leaf", text).run([torch.ones(3), torch.zeros(3)], [3], [])


@compiled_here
def test_whole_numbers_are_divided_as_c_does() -> None:
    text, x, y = LEAF.replace("FUNCTION(x_in[i])", "1 / 2 + x_in[i]"), torch.ones(3), torch.zeros(3)
    Routine("leaf", text).run([x, y], [3], [])
    made = torch.zeros(3)
    blocks.Blocks(text).leaf([x, made], [3])
    assert torch.equal(y, made) and torch.equal(y, x)


def leaf(function: str, x: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    blocks.Blocks(LEAF.replace("FUNCTION", function)).leaf([x, y], [len(x)])
    return y


@compiled_here
@pytest.mark.parametrize(("function", "units"), [("exp", 1.0), ("tanh", 2.5), ("sigmoid", 2.5)])
def test_leaf_is_accurate_in_float32(function: str, units: float) -> None:
    spread = np.concatenate([np.logspace(-38, np.log10(88), 20001), np.linspace(0, 20, 20001)])
    x = torch.from_numpy(np.concatenate([spread, -spread]).astype(np.float32))
    exact = getattr(torch, function)(x.double()).numpy()
    if function == "sigmoid":  # torch.sigmoid is 0 where exp(-x) overflows
        exact = 1 / (1 + np.exp(-x.double().numpy()))
    unit = np.spacing(np.maximum(np.abs(exact), np.finfo(np.float32).tiny).astype(np.float32))
    assert (np.abs(leaf(function, x).numpy() - exact) / unit).max() <= units


@compiled_here
@pytest.mark.parametrize("function", ["exp", "tanh", "sigmoid"])
def test_leaf_at_its_limits(function: str) -> None:
    x = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e30, -1e30])
    torch.testing.assert_close(leaf(function, x), getattr(torch, function)(x), equal_nan=True)


def test_without_a_compiler_pytorch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "")
    compiler.compiler.cache_clear()
    try:
        kernel = lower("gru", "torch")
        assert not kernel.is_native(kernel.call(given(find("gru")), {})[0], in_place=True)
        with pytest.raises(compiler.CompilationError, match="no C compiler"):
            compiler.build("", (), Path("nowhere.so"))
    finally:
        monkeypatch.undo()
        compiler.compiler.cache_clear()


@compiled_here
def test_a_refused_source_says_why(tmp_path: Path) -> None:
    with pytest.raises(compiler.CompilationError, match="refused a generated source"):
        compiler.build("void f( {", compiler.FLAGS, tmp_path / "made.so")
    assert list(tmp_path.iterdir()) == []


def test_a_product_by_a_vector() -> None:
    """oneDNN's product takes matrices alone."""
    given, vector = torch.randn(64, 1024, 16), torch.randn(16)
    torch.testing.assert_close(products.matmul(given, vector), given @ vector)


@compiled_here
def test_threads_divide_a_block_and_change_no_number() -> None:
    """The block of an LSTM's step with 64 * 96 turns, by one thread and by two."""
    text = vars(sys.modules[lower("lstm", "c").compiled(True, frozenset()).forward.__module__])["C"].text
    assert "PARALLEL(rows * hidden)" in text
    gates, before = torch.randn(2, 64, 4, 96), torch.randn(64, 96)
    found, threads = dict[int, list[torch.Tensor]](), torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made = [torch.empty(64, 96) for _ in range(7)]
            arrays = [*gates, *made[:4], before, *made[4:]]
            blocks.Blocks(text).forward_1(arrays, [96, 64])
            found[count] = made
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(found[1], found[2], strict=True))
    assert torch.equal(found[1][0], leaf("sigmoid", (gates[0] + gates[1])[:, 0].reshape(-1)).view(64, 96))


@compiled_here
def test_there_is_one_pool_of_threads() -> None:
    leaf("exp", torch.ones(3))
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("the libraries of a process are not listed here")
    paths = {line.split()[-1] for line in maps.read_text().splitlines()}
    loaded = [p for p in paths if Path(p).name.startswith(("libgomp", "libomp", "libiomp"))]
    assert not compiler.shares_threads() or len(loaded) == 1
