"""What an operation is compared with: the PyTorch function that it declares, or its own definition.

Where PyTorch calls a function otherwise than an operation's inputs say, one row below, keyed by the
function's dotted name, says how. Every other function takes the inputs in order and hyper-parameters by
name.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from gradproof.numeric.fields import TorchField
from gradproof.numeric.interpretation import evaluate
from gradproof.symbolic.operation import Operation

Function = Callable[..., tuple[Any, ...]]


class NotCoveredError(Exception):
    """PyTorch's function has no value for these inputs, or no way to take them."""


@dataclass(frozen=True)
class Given:
    """One call: the function, the operation, its inputs by name and its hyper-parameters."""

    function: Callable[..., Any]
    operation: Operation
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.inputs[name]

    @property
    def first(self) -> Any:
        return next(iter(self.inputs.values()))

    def option(self, name: str) -> Any:
        return self.operation.options.get(name)


@dataclass(frozen=True)
class Adapter:
    """How PyTorch's function is called; `sizes` names axes whose size it wants to be a product of others."""

    call: Callable[[Given], Any]
    sizes: Mapping[str, tuple[str, ...]] | None = None


def definition(operation: Operation, dtype: Any = None) -> Function:
    """The definition in elementary operators of PyTorch, for autograd to differentiate."""

    def call(*inputs: Any, **parameters: Any) -> tuple[Any, ...]:
        real = [i for i in inputs if i.is_floating_point()]
        field = TorchField(dtype or real[0].dtype, real[0].device)
        filled = {n: float(h.default) for n, h in operation.hyperparameters.items()} | parameters
        return evaluate(operation.program, inputs, field, filled)

    return call


def reference(operation: Operation) -> Function | None:
    """PyTorch's function on the operation's inputs, with a tuple of outputs; None where none is declared.

    A call raises NotCoveredError where the function cannot take the inputs.
    """
    function = resolve(operation.reference)
    adapter = ADAPTERS.get(operation.reference)
    if function is None or (adapter is not None and adapter.call is _none):
        return None

    def call(*inputs: Any, **parameters: Any) -> tuple[Any, ...]:
        filled = {n: float(h.default) for n, h in operation.hyperparameters.items()} | parameters
        if adapter is None:
            made = function(*inputs, **filled)
        else:
            named = {t.name: i for t, i in zip(operation.inputs, inputs, strict=True)}
            made = adapter.call(Given(function, operation, named, filled))
        return made if isinstance(made, tuple) else (made,)

    return call


def wanted_sizes(operation: Operation) -> Mapping[str, tuple[str, ...]]:
    """The axes whose size PyTorch's function wants to be a product of others."""
    adapter = ADAPTERS.get(operation.reference)
    return (adapter.sizes or {}) if adapter else {}


@cache
def resolve(dotted: str) -> Callable[..., Any] | None:
    """The function of a dotted name, such as `torch.nn.functional.gelu`."""
    parts = dotted.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found
    return None


# --- how PyTorch's functions are called


def _none(given: Given) -> Any:
    raise NotCoveredError("the function takes no such inputs")


def _rows(x: Any, kept: int) -> Any:
    """The batch axes as one."""
    if x.dim() == kept + 1:
        return x
    return x.reshape(math.prod(x.shape[: x.dim() - kept]), *x.shape[x.dim() - kept :])


def _last(**more: Any) -> Adapter:
    """A function of the last axis."""
    return Adapter(lambda g: g.function(g.first, dim=-1, **more))


def _cross_entropy(g: Given) -> Any:
    logits, target = g["logits"], g["target"]
    if target.is_floating_point():
        made = g.function(_rows(logits, 1), _rows(target, 1), reduction="none")
        return made.reshape(logits.shape[:-1])
    counts = (target >= 0) & (target < logits.shape[-1])
    if not counts.any():
        raise NotCoveredError("the mean over no target is NaN in PyTorch")
    kept = torch.where(counts, target, -100)
    return g.function(_rows(logits, 1), kept.reshape(-1), label_smoothing=g.parameters["label_smoothing"])


def _batch_norm(g: Given) -> Any:
    x = g["x"]
    flat = _rows(x, 1)
    if flat.shape[0] < 2:
        raise NotCoveredError("PyTorch's batch norm wants more than one example")
    made = g.function(flat, None, None, g["weight"], g["bias"], True, 0.0, g.parameters["eps"])
    return made.reshape(x.shape)


def _normalized(g: Given) -> Any:
    parts = [g[n] for n in ("weight", "bias") if n in g.inputs]
    return g.function(g["x"], g["x"].shape[-1:], *parts, g.parameters["eps"])


def _bilinear(g: Given) -> Any:
    x1, x2 = g["x1"], g["x2"]
    if 0 in g["weight"].shape:
        raise NotCoveredError("PyTorch's bilinear map fails on empty axes")
    made = g.function(_rows(x1, 1), _rows(x2, 1), g["weight"], g["bias"])
    return made.reshape(*x1.shape[:-1], made.shape[-1])


def _matrices(*weights: Any) -> list[Any]:
    """Weights of each gate, one below the other, as PyTorch keeps them."""
    return [w if w.dim() == 2 else w.reshape(w.shape[0] * w.shape[1], w.shape[2]) for w in weights]


def _recurrent_weights(g: Given) -> list[Any]:
    return [*_matrices(g["w_ih"], g["w_hh"]), g["b_ih"].reshape(-1), g["b_hh"].reshape(-1)]


def _cell(g: Given) -> Any:
    lead = g["x"].shape[:-1]
    states = [_rows(g[n], 1) for n in ("h0", "c0") if n in g.inputs]
    made = g.function(_rows(g["x"], 1), states if len(states) > 1 else states[0], *_recurrent_weights(g))
    made = made if isinstance(made, tuple) else (made,)
    return tuple(m.reshape(*lead, m.shape[-1]) for m in made)


def _layer(g: Given) -> Any:
    x = g["x"]
    if not x.shape[-2] or 0 in x.shape[:-2]:
        raise NotCoveredError("PyTorch's recurrent layers want at least one step and one example")
    kind = g.operation.reference.rpartition(".")[2].lower()
    name = f"{kind}_{g.option('nonlinearity')}" if kind == "rnn" else kind
    states = [_rows(g[n], 1)[None] for n in ("h0", "c0") if n in g.inputs]
    state = states if len(states) > 1 else states[0]
    call = getattr(torch, name)
    every, *last = call(_rows(x, 2), state, _recurrent_weights(g), True, 1, 0.0, True, False, True)
    lead = x.shape[:-2]
    steps = every.reshape(*lead, *every.shape[-2:])
    return (steps, *(m[0].reshape(*lead, m.shape[-1]) for m in last))


def _attention(g: Given) -> Any:
    if 0 in (*g["q"].shape, *g["k"].shape):
        raise NotCoveredError("PyTorch's attention over no key is NaN, or its backward fails")
    mask = g.inputs.get("allowed", g.inputs.get("bias"))
    return g.function(g["q"], g["k"], g["v"], mask, 0.0, g.option("mask") == "causal")


def _mask(g: Given, queries: int, keys: int, like: Any) -> Any:
    """The mask as `multi_head_attention_forward` takes it: a forbidden entry is true, or -inf."""
    if g.option("mask") == "causal":
        return torch.ones(queries, keys, dtype=torch.bool, device=like.device).triu(1)
    if "bias" in g.inputs:
        return g["bias"].reshape(-1, queries, keys)
    if "allowed" in g.inputs:
        if not g["allowed"].any(-1).all():
            raise NotCoveredError("a query that may look at no key is NaN in PyTorch")
        forbidden = _rows(~g["allowed"], 2)
        heads = g["w_q"].shape[0]
        return forbidden.repeat_interleave(heads, 0)
    return None


def _projections(g: Given) -> list[Any]:
    embed = g["w_q"].shape[-1]
    heads = g["w_q"].shape[0] * g["w_q"].shape[1]
    if heads != embed:
        raise NotCoveredError("PyTorch's heads share the embedding")
    return [g[n].reshape(heads, embed) for n in ("w_q", "w_k", "w_v")]


def _multi_head(g: Given) -> Any:
    query, key, value = (_rows(g[n], 2).transpose(0, 1) for n in ("query", "key", "value"))
    if 0 in (*query.shape, *key.shape):
        raise NotCoveredError("PyTorch's attention wants at least one query and one key")
    matrices = _projections(g)
    embed, heads = query.shape[-1], g["w_q"].shape[0]
    bias = torch.cat([g[n].reshape(-1) for n in ("b_q", "b_k", "b_v")])
    made, _ = g.function(
        query, key, value, embed, heads, None, bias, None, None, False, 0.0,
        g["w_o"].reshape(embed, -1), g["b_o"], need_weights=False,
        attn_mask=_mask(g, query.shape[0], key.shape[0], query), use_separate_proj_weight=True,
        q_proj_weight=matrices[0], k_proj_weight=matrices[1], v_proj_weight=matrices[2],
    )  # fmt: skip
    return made.transpose(0, 1).reshape(g["query"].shape)


def _encoder_layer(g: Given) -> Any:
    x = g["x"]
    if 0 in x.shape:
        raise NotCoveredError("PyTorch's attention wants at least one query and one key")
    embed, heads, inner = x.shape[-1], g["w_q"].shape[0], g["w1"].shape[0]
    values = {
        "self_attn.in_proj_weight": torch.cat(_projections(g)),
        "self_attn.in_proj_bias": torch.cat([g[n].reshape(-1) for n in ("b_q", "b_k", "b_v")]),
        "self_attn.out_proj.weight": g["w_o"].reshape(embed, -1),
        "self_attn.out_proj.bias": g["b_o"],
        **{f"linear{n}.{kind}": g[f"{kind[0]}{n}"] for n in (1, 2) for kind in ("weight", "bias")},
        **{f"norm{n}.{kind}": g[f"ln{n}_{kind}"] for n in (1, 2) for kind in ("weight", "bias")},
    }
    layer = _layer_of(g.function, embed, heads, inner, str(g.option("activation")), g.parameters["eps"])
    mask = _mask(g, x.shape[-2], x.shape[-2], x)
    made = torch.func.functional_call(layer, values, (_rows(x, 2), mask))
    return made.reshape(x.shape)


@cache
def _layer_of(kind: Any, embed: int, heads: int, inner: int, activation: str, eps: float) -> Any:
    return kind(embed, heads, inner, 0.0, activation, eps, batch_first=True, device="meta")


ADAPTERS: dict[str, Adapter] = {
    "torch.nn.functional.leaky_relu": Adapter(lambda g: g.function(g.first, g.parameters["slope"])),
    "torch.nn.functional.softplus": Adapter(lambda g: g.function(g.first, threshold=40)),
    "torch.nn.functional.gelu": Adapter(
        lambda g: g.function(g.first, approximate="tanh" if g.operation.name.endswith("tanh") else "none")
    ),
    "torch.sum": _last(),
    "torch.mean": _last(),
    "torch.amax": _last(),
    "torch.logsumexp": _last(),
    "torch.nn.functional.softmax": _last(),
    "torch.nn.functional.log_softmax": _last(),
    "torch.nn.functional.cross_entropy": Adapter(_cross_entropy),
    "torch.nn.functional.kl_div": Adapter(
        lambda g: g.function(g["x"], g["target"], reduction="none").sum(-1)
    ),
    "torch.nn.functional.bilinear": Adapter(_bilinear),
    "torch.nn.functional.dropout": Adapter(_none),  # it draws its own mask
    "torch.nn.functional.layer_norm": Adapter(_normalized),
    "torch.nn.functional.rms_norm": Adapter(_normalized),
    "torch.nn.functional.batch_norm": Adapter(_batch_norm),
    **{f"torch.{n}_cell": Adapter(_cell) for n in ("rnn_tanh", "rnn_relu", "lstm", "gru")},
    **{f"torch.nn.{n}": Adapter(_layer) for n in ("RNN", "LSTM", "GRU")},
    "torch.nn.functional.scaled_dot_product_attention": Adapter(_attention),
    "torch.nn.functional.multi_head_attention_forward": Adapter(_multi_head, {"embed": ("head", "head_dim")}),
    "torch.nn.TransformerEncoderLayer": Adapter(_encoder_layer, {"embed": ("head", "head_dim")}),
}


def covered(call: Function, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The outputs, or None where the function cannot take the inputs."""
    try:
        return call(*inputs, **parameters)
    except NotCoveredError:
        return None
