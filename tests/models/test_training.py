"""What people do with layers: accumulation, checkpoints, copies, pickles, low precision, two processes."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from gradproof import models
from tests.models.cases import DTYPE, LAYERS, Case, agree, close, leaves, run, tracked


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_copies_and_pickles_do_the_same(case: Case) -> None:
    module, inputs = case.ours, case.drawn()
    stored = io.BytesIO()
    torch.save(module, stored)
    stored.seek(0)
    wanted = run(module, inputs, case.call)
    for again in (
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
        torch.load(stored, weights_only=False),
    ):
        assert type(again) is type(module)
        close(run(again, inputs, case.call), wanted, 0)


def test_a_cell_of_ones_own_is_copied_and_pickled(tmp_path: Path) -> None:
    from gradproof import find

    layer, x = models.Recurrent(find("lstm_cell_peephole"), input=3, hidden=2), torch.randn(2, 4, 3)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert not {*again.parameters()} & {*layer.parameters()}
        close(leaves(again(x)), leaves(layer(x)), 0)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_shapes_are_found_on_the_meta_device(case: Case) -> None:
    def moved(value: Any) -> Any:
        return value.to("meta") if isinstance(value, Tensor) else value

    call = {name: moved(value) for name, value in case.call.items()}
    found = run(case.ours.to("meta"), tuple(map(moved, case.drawn())), call)
    wanted = run(case.ours, case.drawn(), case.call)
    assert [(f.device.type, f.shape, f.dtype) for f in found] == [("meta", w.shape, w.dtype) for w in wanted]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_of_either_kind(reentrant: bool) -> None:
    layer, x = models.LSTM(3, 2, 2, dtype=DTYPE), torch.randn(4, 2, 3, dtype=DTYPE, requires_grad=True)

    def flat(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(leaves(layer(x)))

    sides: list[list[Tensor | None]] = []
    for step in (flat, lambda x: checkpoint(flat, x, use_reentrant=reentrant)):
        x.grad = None
        layer.zero_grad()
        y, h, c = step(x)
        torch.autograd.backward([y, h, c], [y.detach(), h.detach(), c.detach()])
        sides.append([x.grad, *(p.grad for p in layer.parameters())])
    close(sides[1], sides[0], 0)


class Small(nn.Module):
    """An embedding, a recurrent layer, attention and a linear map."""

    def __init__(self, home: Any, saved: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = home.Embedding(7, 4, dtype=DTYPE)
        self.lstm = home.LSTM(4, 4, batch_first=True, dtype=DTYPE)
        self.block = home.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, dtype=DTYPE)
        self.head = home.Linear(4, 7, dtype=DTYPE)
        self.loss = home.CrossEntropyLoss()
        self.saved = saved

    def forward(self, index: Tensor, target: Tensor) -> Tensor:
        x, _ = self.lstm(self.embedding(index))
        x = self.block(x) if self.saved else checkpoint(self.block, x, use_reentrant=False)
        return self.loss(self.head(x).transpose(1, 2), target)


INDEX, TARGET = torch.arange(12).reshape(4, 3) % 7, torch.arange(12).reshape(4, 3) * 3 % 7


def test_ten_steps_are_pytorchs() -> None:
    losses: list[list[float]] = []
    for home in (models, nn):
        model = Small(home)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        losses.append([])
        for _ in range(10):
            optimizer.zero_grad()
            loss = model(INDEX, TARGET)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert losses[0][-1] < losses[0][0]


def test_accumulated_gradients_are_those_of_the_batch() -> None:
    model = Small(models)
    model(INDEX, TARGET).backward()
    wanted = [p.grad for p in model.parameters()]
    model.zero_grad()
    for half in (slice(0, 2), slice(2, 4)):
        (model(INDEX[half], TARGET[half]) / 2).backward()
    close([p.grad for p in model.parameters()], wanted)


def test_checkpointing_changes_nothing() -> None:
    agree(Small(models, saved=False), Small(models), (INDEX, TARGET), {})


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", [c for c in LAYERS if c.name != "Embedding"], ids=str)
def test_low_precision_is_as_good_as_pytorchs(case: Case, dtype: torch.dtype) -> None:
    """Errors of outputs and gradients are at most twice those of PyTorch's layer in the same dtype."""
    exact, ours, theirs = case.theirs, case.ours, case.theirs
    inputs = _lowered(case.drawn(), dtype)
    exact.load_state_dict({n: v.to(dtype).to(DTYPE) for n, v in exact.state_dict().items()})
    wanted = _step(exact, _raised(inputs), case)
    found = [_step(m.to(dtype), inputs, case) for m in (ours, theirs)]
    for mine, other, right in zip(*found, wanted, strict=True):
        assert mine.dtype == dtype
        scale = torch.finfo(dtype).eps * (right.abs().max() if right.numel() else 0)
        errors = [(v.to(DTYPE) - right).abs().max() for v in (mine, other)]
        # A rounding is half a unit in the last place, of which nobody can have less.
        assert errors[0] <= 2 * errors[1] + scale / 2, (errors, scale)


class _Products(TorchDispatchMode):
    """Notes the dtypes of the products of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "mm" in func.name():
            self.dtypes.add(args[0].dtype)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("dtype, of_products", [
    (torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32), (torch.float32, torch.float32),
])  # fmt: skip
def test_products_of_bfloat16_are_taken_in_it(dtype: torch.dtype, of_products: torch.dtype) -> None:
    """PyTorch adds them up in float32: errors at 300 terms are at most twice those of the plain formula."""
    torch.manual_seed(0)
    made = [torch.randn(*shape).to(dtype) for shape in ((40, 300), (20, 300), (20,), (40, 20))]
    ours = models.Linear(300, 20).to(dtype)
    sides: list[list[Tensor]] = []
    for kind in (torch.float64, dtype, None):
        x, w, b, u = (t.to(kind or dtype).requires_grad_(n < 3) for n, t in enumerate(made))
        with _Products() as products:
            y = functional_call(ours, {"weight": w, "bias": b}, (x,)) if kind is None else x @ w.T + b
            sides.append([y, *torch.autograd.grad(y, (x, w, b), u)])
    assert products.dtypes == {of_products}
    for right, plain, mine in zip(*sides, strict=True):
        assert mine.dtype == dtype
        errors = [(v.double() - right).abs().max() for v in (mine, plain)]
        assert errors[0] <= 2 * errors[1]


def _lowered(inputs: tuple[Any, ...], dtype: torch.dtype) -> tuple[Any, ...]:
    return tuple(i.to(dtype) if i.is_floating_point() else i for i in inputs)


def _raised(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return _lowered(inputs, DTYPE)


def _step(module: nn.Module, inputs: tuple[Any, ...], case: Case) -> list[Tensor]:
    given = tracked(inputs)
    made = run(module, given, case.call)
    torch.manual_seed(1)
    slopes = [torch.randn(y.shape).to(torch.bfloat16).to(y.dtype) for y in made]
    wanted = [i for i in given if i.requires_grad] + list(module.parameters())
    reached = [(y, s) for y, s in zip(made, slopes, strict=True) if y.requires_grad]
    found = torch.autograd.grad([y for y, _ in reached], wanted, [s for _, s in reached], allow_unused=True)
    return [y.detach() for y in made] + [g for g in found if g is not None]


@pytest.mark.parametrize("name", ["Linear", "GRU", "MultiheadAttention", "TransformerEncoderLayer"])
def test_autocast(name: str) -> None:
    """Within autocast the results have its dtype, and the error of PyTorch's."""
    case = next(c for c in LAYERS if c.name == name)
    exact, ours, theirs = case.theirs, case.ours.float(), case.theirs.float()
    inputs = tuple(i.float() for i in case.drawn())
    wanted = run(exact.to(DTYPE), _raised(inputs), case.call)
    with torch.autocast("cpu", torch.bfloat16):
        found, others = run(ours, inputs, case.call), run(theirs, inputs, case.call)
    for mine, other, right in zip(found, others, wanted, strict=True):
        errors = [(v.to(DTYPE) - right).abs().max() for v in (mine, other)]
        assert errors[0] <= 2 * errors[1] + torch.finfo(torch.bfloat16).eps * right.abs().max() / 2
    if name == "Linear":
        assert found[0].dtype == torch.bfloat16


def test_losses_within_autocast_are_float32() -> None:
    logits = torch.randn(3, 5, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert models.CrossEntropyLoss()(logits, torch.tensor([1, 2, 3])).dtype == torch.float32
        assert models.LayerNorm(5)(logits).dtype == torch.float32


# --- several processes


def _train(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(Small(models))
    half = slice(2 * rank, 2 * rank + 2)
    model(INDEX[half], TARGET[half]).backward()
    if rank == 0:
        torch.save([p.grad for p in model.parameters()], f"{folder}/gradients")
    del model  # before the connections that its reducer uses
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_gradient_of_the_batch(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_train, (str(tmp_path),), nprocs=2)
    found = torch.load(tmp_path / "gradients")
    model = Small(models)
    model(INDEX, TARGET).backward()
    close(found, [p.grad for p in model.parameters()])
