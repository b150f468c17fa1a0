"""The catalogue: complete, and each operation the function that PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from interpreter import Interpreter
from sampling import LABELS, SIZES, parameters_of, sample

from gradproof.symbolic.axes import Axis, batch
from gradproof.symbolic.catalogue.axes import HIDDEN, INPUT
from gradproof.symbolic.language import indices, sum_over
from gradproof.symbolic.operation import Array, Builder, find, operation, operations, real, scalar

NAMES = set(
    """
identity sigmoid tanh relu leaky_relu elu softplus silu gelu gelu_tanh exp log sqrt square abs sin
cos sum mean max logsumexp softmax log_softmax cross_entropy soft_cross_entropy
binary_cross_entropy_with_logits mse_loss kl_div linear bilinear embedding dropout layer_norm
rms_norm batch_norm rnn_tanh_cell rnn_relu_cell lstm_cell lstm_cell_concat lstm_cell_peephole
gru_cell rnn lstm gru attention multi_head_attention additive_attention sinusoidal_positions
rotary_embedding feed_forward transformer_block_pre transformer_block_post
""".split()  # noqa: SIM905
)

Values = dict[str, torch.Tensor]


def joined(t: torch.Tensor) -> torch.Tensor:
    """The gates of a weight or bias, one below the other, as PyTorch keeps them."""
    return t.flatten(0, 1)


def cell(function: Callable[..., torch.Tensor]) -> Callable[[Values], torch.Tensor]:
    return lambda v: function(v["x"], v["h0"], v["w_ih"], v["w_hh"], v["b_ih"], v["b_hh"])


def lstm_cell(v: Values) -> tuple[torch.Tensor, ...]:
    weights = [joined(v[n]) for n in ("w_ih", "w_hh", "b_ih", "b_hh")]
    return torch.lstm_cell(v["x"], (v["h0"], v["c0"]), *weights)


def lstm_cell_concat(v: Values) -> tuple[torch.Tensor, ...]:
    whole = torch.cat([joined(v["w_h"]), joined(v["w_x"])], -1)
    a = torch.cat([v["h0"], v["x"]], -1) @ whole.T + joined(v["bias"])
    i, f, z, o = a.chunk(4, -1)
    c = f.sigmoid() * v["c0"] + i.sigmoid() * z.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(v: Values) -> torch.Tensor:
    return torch.gru_cell(v["x"], v["h0"], *(joined(v[n]) for n in ("w_ih", "w_hh", "b_ih", "b_hh")))


def layer(module: torch.nn.RNNBase, v: Values) -> tuple[torch.Tensor, ...]:
    weights = [
        v[n] if v[n].dim() == 2 - n.startswith("b") else joined(v[n])
        for n in ("w_ih", "w_hh", "b_ih", "b_hh")
    ]
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), weights, strict=True):
            parameter.copy_(value)
    state = (v["h0"][None], v["c0"][None]) if "c0" in v else v["h0"][None]
    out, last = module(v["x"], state)
    return (out, *(t[0] for t in (last if isinstance(last, tuple) else (last,))))


def recurrent(
    kind: Callable[..., torch.nn.RNNBase], **options: str
) -> Callable[[Values], tuple[torch.Tensor, ...]]:
    def run(v: Values) -> tuple[torch.Tensor, ...]:
        return layer(kind(SIZES[INPUT], SIZES[HIDDEN], batch_first=True, dtype=torch.float64, **options), v)

    return run


def attention(v: Values) -> torch.Tensor:
    mask = v["allowed"] if "allowed" in v else v.get("bias")
    made = F.scaled_dot_product_attention(v["q"], v["k"], v["v"], attn_mask=mask)
    return made.where(mask.any(-1, keepdim=True), 0) if mask is not None and "allowed" in v else made


def causal_attention(v: Values) -> torch.Tensor:
    return F.scaled_dot_product_attention(v["q"], v["k"], v["v"], is_causal=True)


def multi_head_attention(v: Values) -> torch.Tensor:
    made, _ = F.multi_head_attention_forward(
        *(v[n].transpose(0, 1) for n in ("query", "key", "value")),
        embed_dim_to_check=v["query"].shape[-1],
        num_heads=v["w_q"].shape[0],
        in_proj_weight=None,
        use_separate_proj_weight=True,
        q_proj_weight=joined(v["w_q"]),
        k_proj_weight=joined(v["w_k"]),
        v_proj_weight=joined(v["w_v"]),
        in_proj_bias=torch.cat([joined(v[n]) for n in ("b_q", "b_k", "b_v")]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0,
        out_proj_weight=v["w_o"].flatten(1),
        out_proj_bias=v["b_o"],
        need_weights=False,
    )
    return made.transpose(0, 1)


def binary_cross_entropy(v: Values) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(v["logits"], v["target"])


def rotary(v: Values) -> torch.Tensor:
    x = torch.view_as_complex(v["x"].contiguous())
    time, pairs = torch.arange(x.shape[1])[:, None], torch.arange(x.shape[2])
    return torch.view_as_real(x * torch.exp(1j * time.double() * 10000.0 ** (-pairs.double() / x.shape[2])))


def sinusoidal(v: Values) -> torch.Tensor:
    time, pairs = torch.arange(v["x"].shape[1])[:, None], torch.arange(v["x"].shape[2])
    angle = time * 10000.0 ** (-pairs.double() / v["x"].shape[2])
    return v["x"] + torch.stack([angle.sin(), angle.cos()], -1)


REFERENCES: dict[str, Callable[[Values], torch.Tensor | tuple[torch.Tensor, ...]]] = {
    "identity": lambda v: v["x"],
    **{name: (lambda v, name=name: getattr(torch, name)(v["x"])) for name in
       ("sigmoid", "tanh", "relu", "exp", "log", "sqrt", "square", "abs", "sin", "cos")},
    "leaky_relu": lambda v: F.leaky_relu(v["x"], 0.01),
    "elu": lambda v: F.elu(v["x"]),
    "softplus": lambda v: F.softplus(v["x"]),
    "silu": lambda v: F.silu(v["x"]),
    "gelu": lambda v: F.gelu(v["x"]),
    "gelu_tanh": lambda v: F.gelu(v["x"], approximate="tanh"),
    "sum": lambda v: v["x"].sum(-1),
    "mean": lambda v: v["x"].mean(-1),
    "max": lambda v: v["x"].amax(-1),
    "logsumexp": lambda v: v["x"].logsumexp(-1),
    "softmax": lambda v: v["x"].softmax(-1),
    "log_softmax": lambda v: v["x"].log_softmax(-1),
    "cross_entropy": lambda v: F.cross_entropy(v["logits"], v["target"]),
    "soft_cross_entropy": lambda v: F.cross_entropy(v["logits"], v["target"], reduction="none"),
    "binary_cross_entropy_with_logits": binary_cross_entropy,
    "mse_loss": lambda v: F.mse_loss(v["x"], v["target"]),
    "kl_div": lambda v: F.kl_div(v["x"], v["target"], reduction="none").sum(-1),
    "linear": lambda v: F.linear(v["x"], v["weight"], v["bias"]),
    "bilinear": lambda v: F.bilinear(v["x1"], v["x2"], v["weight"], v["bias"]),
    "embedding": lambda v: F.embedding(v["index"], v["weight"]),
    "dropout": lambda v: v["x"] * v["keep"] / 0.5,
    "layer_norm": lambda v: F.layer_norm(v["x"], v["x"].shape[-1:], v["weight"], v["bias"]),
    "rms_norm": lambda v: F.rms_norm(v["x"], v["x"].shape[-1:], v["weight"], 1e-6),
    "batch_norm": lambda v: F.batch_norm(v["x"], None, None, v["weight"], v["bias"], training=True),
    "rnn_tanh_cell": cell(torch.rnn_tanh_cell),
    "rnn_relu_cell": cell(torch.rnn_relu_cell),
    "lstm_cell": lstm_cell,
    "lstm_cell_concat": lstm_cell_concat,
    "gru_cell": gru_cell,
    "rnn": recurrent(torch.nn.RNN),
    "rnn(nonlinearity=relu)": recurrent(torch.nn.RNN, nonlinearity="relu"),
    "lstm": recurrent(torch.nn.LSTM),
    "gru": recurrent(torch.nn.GRU),
    "attention": attention,
    "attention(mask=additive)": attention,
    "attention(mask=padding)": attention,
    "attention(mask=causal)": causal_attention,
    "multi_head_attention": multi_head_attention,
    "sinusoidal_positions": sinusoidal,
    "rotary_embedding": rotary,
    "feed_forward": lambda v: F.linear(F.linear(v["x"], v["w1"], v["b1"]).relu(), v["w2"], v["b2"]),
}  # fmt: skip


def evaluate(label: str, given: Values | None = None) -> tuple[Values, tuple[torch.Tensor, ...]]:
    chosen = find(label)
    values = sample(chosen, seed=1)
    values |= {t: given[t.name].double() for t in chosen.inputs if given and t.name in given}
    known = Interpreter(SIZES, parameters_of(chosen)).run(chosen.program, values)
    named = {t.name: v.bool() if t.dtype == "boolean" else v for t, v in values.items()}
    return named, tuple(known[t] for t in chosen.outputs)


def test_every_name_is_in_the_table() -> None:
    assert set(operations()) >= NAMES


@pytest.mark.parametrize("label", REFERENCES)
def test_an_operation_is_the_function_of_pytorch(label: str) -> None:
    named, outputs = evaluate(label)
    wanted = REFERENCES[label](named)
    for have, want in zip(outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        torch.testing.assert_close(have, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("label", LABELS)
def test_an_operation_says_what_it_is(label: str) -> None:
    chosen = find(label)
    assert chosen.doc and chosen.topic
    assert all(t.name.isidentifier() for t in (*chosen.inputs, *chosen.program.definitions))


def test_targets_outside_the_classes_do_not_count() -> None:
    target = torch.tensor([1, -100])
    named, (loss,) = evaluate("cross_entropy", {"target": target})
    torch.testing.assert_close(loss, F.cross_entropy(named["logits"], target))
    _, (nothing,) = evaluate("cross_entropy", {"target": torch.tensor([-100, -100])})
    assert nothing == 0


def test_a_query_that_sees_nothing_has_output_zero() -> None:
    named, _ = evaluate("attention(mask=padding)")
    allowed = torch.zeros_like(named["allowed"])
    _, (y,) = evaluate("attention(mask=padding)", {"allowed": allowed})
    assert torch.equal(y, torch.zeros_like(y))


def test_zero_times_log_zero_is_zero() -> None:
    named, _ = evaluate("kl_div")
    target = torch.zeros_like(named["target"])
    _, (loss,) = evaluate("kl_div", {"target": target})
    assert torch.equal(loss, torch.zeros_like(loss))


def test_an_unknown_operation_names_its_neighbours() -> None:
    with pytest.raises(KeyError, match="did you mean sigmoid"):
        find("sigmiod")
    with pytest.raises(ValueError, match="mask in"):
        find("attention(mask=diagonal)")


B, N, M = batch(), Axis("n"), Axis("m")
b, i, j = indices("b i j", B, N, M)


def test_an_axis_that_does_not_fit_is_named() -> None:
    @operation("test", x=real(B, N), weight=real(M, M), bias=real(M), register=False)
    def wrong(let: Builder, x: Array, weight: Array, bias: Array) -> Array:
        return find("linear")(x, weight, bias)

    with pytest.raises(ValueError, match=r"linear: axis input of weight.* stands for .*n.* found .*m"):
        _ = wrong.program


def test_hyperparameters_of_what_is_called_are_taken_up() -> None:
    assert find("transformer_block_pre").hyperparameters.keys() == {"eps"}

    @operation("test", x=real(B, N), weight=real(N), eps=scalar("1e-2", "(0, inf)"), register=False)
    def clash(let: Builder, x: Array, weight: Array, eps: object) -> Array:
        return find("rms_norm")(x, weight)

    with pytest.raises(ValueError, match="eps is"):
        _ = clash.program


def test_an_input_that_is_not_there_cannot_be_read() -> None:
    @operation("test", x=real(B, N), w=real(N, mode="weighted"), mode=("plain", "weighted"), register=False)
    def scores(let: Builder, x: Array, w: Array, mode: str) -> Array:
        return let("y", [b], sum_over(x[b, i] * w[i], i))

    assert [t.name for t in scores.variant(mode="weighted").inputs] == ["x", "w"]
    with pytest.raises(ValueError, match="scores has no input w"):
        _ = scores.program


def test_a_name_is_defined_once() -> None:
    @operation("test", x=real(B), register=False)
    def twice(let: Builder, x: Array) -> Array:
        let("y", [b], x[b])
        return let("y", [b], x[b])

    with pytest.raises(ValueError, match="y is defined twice"):
        _ = twice.program
