"""Every layer once or more: how it is made, ours and PyTorch's, and what it is called with."""

# Of a module by its name nothing is known to the type checker.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gradproof import models

DTYPE = torch.float64


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=DTYPE)


@dataclass(frozen=True)
class Case:
    """A layer by its class's name and arguments, its inputs, and further arguments of the call."""

    name: str
    label: str
    options: dict[str, Any]
    inputs: Callable[[], tuple[Any, ...]]
    call: dict[str, Any] = field(default_factory=dict)

    @property
    def theirs(self) -> nn.Module:
        return self._made(getattr(nn, self.name))

    @property
    def ours(self) -> nn.Module:
        return self._made(getattr(models, self.name))

    def _made(self, kind: type[nn.Module]) -> nn.Module:
        takes_dtype = self.name not in PLAIN
        torch.manual_seed(0)
        return kind(**self.options, **({"dtype": DTYPE} if takes_dtype else {}))

    def drawn(self, seed: int = 0) -> tuple[Any, ...]:
        torch.manual_seed(seed)
        return self.inputs()

    def __str__(self) -> str:
        return self.label


PLAIN = {
    *("Dropout", "CrossEntropyLoss", "MSELoss", "BCEWithLogitsLoss"),
    *("ReLU", "Sigmoid", "Tanh", "LeakyReLU", "ELU", "Softplus", "SiLU", "GELU", "Softmax", "LogSoftmax"),
}
"""What takes no dtype."""


def case(name: str, *inputs: Any, call: dict[str, Any] | None = None, **options: Any) -> Case:
    """A case whose inputs are given by their shapes, or as they are."""

    def made() -> tuple[Any, ...]:
        return tuple(rand(*i) if isinstance(i, tuple) else i for i in inputs)

    words = ", ".join(f"{k}={v}" for k, v in {**options, **(call or {})}.items() if not isinstance(v, Tensor))
    return Case(name, f"{name}({words})", options, made, call or {})


CLASSES = torch.tensor([[0, 3, 1], [2, 2, -100]])
CAUSAL = torch.ones(4, 4, dtype=torch.bool).triu(1)
PADDING = torch.tensor([[False, False, False, True], [False, True, False, False]])
BLOCK = {"d_model": 6, "nhead": 2, "dim_feedforward": 5, "dropout": 0.0, "batch_first": True}

LAYERS = (
    case("Linear", (2, 3, 4), in_features=4, out_features=5),
    case("Linear", (3, 4), in_features=4, out_features=5, bias=False),
    case("Embedding", torch.tensor([[1, 2], [4, 1]]), num_embeddings=5, embedding_dim=3),
    case("Embedding", torch.tensor([1, 2, 0]), num_embeddings=5, embedding_dim=3, padding_idx=2),
    case("LayerNorm", (3, 5), normalized_shape=5),
    case("LayerNorm", (3, 2, 5), normalized_shape=(2, 5), bias=False),
    case("LayerNorm", (3, 5), normalized_shape=5, elementwise_affine=False),
    case("RMSNorm", (3, 5), normalized_shape=5, eps=1e-6),
    case("RMSNorm", (3, 5), normalized_shape=5, elementwise_affine=False),
    *(case(name, (3, 4)) for name in ("ReLU", "Sigmoid", "Tanh", "LeakyReLU", "ELU", "Softplus", "SiLU")),
    case("GELU", (3, 4)),
    case("GELU", (3, 4), approximate="tanh"),
    case("Softmax", (3, 4), dim=0),
    case("LogSoftmax", (3, 4), dim=-1),
    case("CrossEntropyLoss", (2, 4, 3), CLASSES),
    case("CrossEntropyLoss", (2, 4, 3), CLASSES, label_smoothing=0.1, weight=torch.rand(4, dtype=DTYPE)),
    case("CrossEntropyLoss", (2, 4), torch.rand(2, 4, dtype=DTYPE), reduction="sum"),
    case("MSELoss", (3, 4), (3, 4)),
    case("BCEWithLogitsLoss", (3, 4), (3, 4)),
    case("BCEWithLogitsLoss", (3, 4), (3, 4), pos_weight=torch.rand(4, dtype=DTYPE), reduction="none"),
    *(
        case(name, (4, 2, 3), input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
        for name in ("RNN", "GRU", "LSTM")
    ),
    case("RNN", (2, 4, 3), input_size=3, hidden_size=4, nonlinearity="relu", bias=False, batch_first=True),
    case("LSTM", (4, 2, 3), input_size=3, hidden_size=4, proj_size=2),
    *(case(name, (2, 3), input_size=3, hidden_size=4) for name in ("RNNCell", "GRUCell", "LSTMCell")),
    case("MultiheadAttention", (4, 2, 6), (4, 2, 6), (4, 2, 6), embed_dim=6, num_heads=2),
    case(
        "MultiheadAttention",
        *[(2, 4, 6)] * 3,
        embed_dim=6,
        num_heads=2,
        batch_first=True,
        add_bias_kv=True,
        call={"key_padding_mask": PADDING, "attn_mask": CAUSAL, "need_weights": False},
    ),
    case("TransformerEncoderLayer", (2, 4, 6), **BLOCK, call={"src_key_padding_mask": PADDING}),
    case("TransformerEncoderLayer", (2, 4, 6), **BLOCK, norm_first=True, activation="gelu", bias=False),
    case("TransformerDecoderLayer", (2, 4, 6), (2, 3, 6), **BLOCK, call={"tgt_mask": CAUSAL}),
    case("Transformer", (2, 3, 6), (2, 4, 6), **BLOCK, num_encoder_layers=1, num_decoder_layers=1),
)


def leaves(made: Any) -> Iterator[Tensor]:
    """The tensors of an output that may be a tuple of tuples."""
    if isinstance(made, Tensor):
        yield made
    elif isinstance(made, tuple):
        for part in made:
            yield from leaves(part)


def run(module: nn.Module, inputs: tuple[Any, ...], call: dict[str, Any]) -> list[Tensor]:
    """The outputs of a module, as a list."""
    return list(leaves(module(*inputs, **call)))


def gradients(module: nn.Module, inputs: tuple[Any, ...], outputs: list[Tensor]) -> list[Tensor]:
    """The gradients of all real inputs and parameters, from cotangents that depend on the shapes alone."""
    wanted = [i for i in inputs if isinstance(i, Tensor) and i.requires_grad]
    wanted += [p for p in module.parameters() if p.requires_grad]
    torch.manual_seed(1)
    reached = [(y, torch.randn(y.shape, dtype=y.dtype)) for y in outputs if y.requires_grad]
    found = torch.autograd.grad([y for y, _ in reached], wanted, [c for _, c in reached], allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for g, w in zip(found, wanted, strict=True)]


def tracked(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies of the inputs, the real ones with gradients."""
    return tuple(
        i.clone().requires_grad_(i.is_floating_point()) if isinstance(i, Tensor) else i for i in inputs
    )


def close(found: Any, wanted: Any, tolerance: float = 1e-10) -> None:
    """Tensors agree to a tolerance relative to their largest entry.

    Where that is 0 in truth, as for the bias of keys in attention, what is left is rounding of the others.
    """
    found, wanted = list(found), list(wanted)
    sizes = [float(w.detach().abs().max()) if w.numel() else 0.0 for w in wanted]
    for f, w, size in zip(found, wanted, sizes, strict=True):
        assert f.shape == w.shape and f.dtype == w.dtype
        torch.testing.assert_close(f, w, rtol=tolerance, atol=tolerance * size + 1e-14 * max(sizes))


def agree(ours: nn.Module, theirs: nn.Module, inputs: tuple[Any, ...], call: dict[str, Any]) -> None:
    """Two modules of the same parameters have the same outputs and gradients; dropout from the same seed."""
    sides: list[list[Tensor]] = []
    for module in (ours, theirs):
        given = tracked(inputs)
        torch.manual_seed(2)
        outputs = run(module, given, call)
        sides.append([*outputs, *gradients(module, given, outputs)])
    close(*sides)
