"""Linear, Embedding, Dropout, LayerNorm and RMSNorm: PyTorch's modules on derived kernels.

Each has the constructor, the parameters and the state_dict of PyTorch's module of its name, of which it is a
subclass. A mistake in a shape is a ValueError, an index beside the vocabulary an IndexError.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradproof.models.functions import Function
from gradproof.models.operations import layer_norm_unbiased, linear_unbiased, rms_normalize, standardize
from gradproof.numeric.binding import autocasts

_linear = Function("linear", "low")
_linear_unbiased = Function(linear_unbiased, "low")
_embedding = Function("embedding")
_dropout = Function("dropout")
_layer_norm = Function("layer_norm", "full")
_layer_norm_unbiased = Function(layer_norm_unbiased, "full")
_standardize = Function(standardize, "full")
_rms_norm = Function("rms_norm", "full")
_rms_normalize = Function(rms_normalize, "full")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""$y = x W^\top + \beta$: x [batch..., input], weight [output, input], bias [output] or none."""
    return _linear_unbiased(x, weight) if bias is None else _linear(x, weight, bias)


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Each entry is 0 with probability p, else divided by 1 - p; the input itself where not training.

    From the same seed the mask is PyTorch's on the CPU, where that has its input in contiguous memory.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"a dropout probability lies between 0 and 1, found {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * x.new_zeros(())
    return _dropout(x, kept(x, p), p=p)


def kept(like: Tensor, p: float) -> Tensor:
    """A mask of the shape of a tensor: true with probability 1 - p."""
    empty = torch.empty_like(like.detach(), dtype=torch.bool, memory_format=torch.contiguous_format)
    return empty.bernoulli_(1 - p)


class Linear(nn.Linear):
    """An affine map of the last axis; as `torch.nn.Linear`.

    >>> import torch
    >>> layer = Linear(3, 2, bias=False)
    >>> layer(torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class Dropout(nn.Dropout):
    """Inverted dropout in training mode; as `torch.nn.Dropout`, but never in place."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


class Embedding(nn.Embedding):
    """A table of vectors, looked up by integers; as `torch.nn.Embedding`.

    With `padding_idx` that row gets no gradient; with `max_norm` rows are scaled down, in place and
    untracked, when they are looked up. Raises NotImplementedError for `scale_grad_by_freq` and `sparse`,
    whose gradients are not the derivative of the lookup, or no dense tensor.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.scale_grad_by_freq or self.sparse:
            option = "sparse" if self.sparse else "scale_grad_by_freq"
            raise NotImplementedError(f"Embedding: {option}=True is not supported; leave it out")
        if self.max_norm is not None:
            self._shrink(input)
        found = _embedding(input, self.weight)
        if self.padding_idx is None:
            return found
        return torch.where((input == self.padding_idx)[..., None], found.detach(), found)

    @torch.no_grad()
    def _shrink(self, input: Tensor) -> None:
        rows = input.unique().long()
        picked = self.weight[rows]
        norms = torch.linalg.vector_norm(picked, self.norm_type, dim=-1, keepdim=True)
        scale = torch.where(norms > self.max_norm, self.max_norm / (norms + 1e-7), 1.0)
        self.weight.index_copy_(0, rows, picked * scale)


class LayerNorm(nn.LayerNorm):
    """Normalization over the last axes, to mean 0 and variance 1; as `torch.nn.LayerNorm`."""

    def forward(self, input: Tensor) -> Tensor:
        x = _flattened("LayerNorm", input, self.normalized_shape)
        if self.weight is None:
            made = _standardize(x, eps=self.eps)
        elif self.bias is None:
            made = _layer_norm_unbiased(x, self.weight.flatten(), eps=self.eps)
        else:
            made = _layer_norm(x, self.weight.flatten(), self.bias.flatten(), eps=self.eps)
        return _as_given(made.view(input.shape), input)


class RMSNorm(nn.RMSNorm):
    """Normalization over the last axes, to mean square 1; as `torch.nn.RMSNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        rows = _flattened("RMSNorm", x, self.normalized_shape)
        computed = torch.float32 if x.dtype.itemsize < 4 else x.dtype
        eps = torch.finfo(computed).eps if self.eps is None else self.eps
        if self.weight is None:
            made = _rms_normalize(rows, eps=eps)
        else:
            made = _rms_norm(rows, self.weight.flatten(), eps=eps)
        return _as_given(made.view(x.shape), x)


def _as_given(made: Tensor, x: Tensor) -> Tensor:
    """The output in the low precision of the input, also with weights in float32; autocast keeps float32."""
    if x.dtype.itemsize >= 4 or autocasts(x.device):
        return made
    return made.to(x.dtype)


def _flattened(name: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor with the last axes, which have to be of this shape, as one."""
    if tuple(x.shape[x.ndim - len(shape) :]) != tuple(shape):
        raise ValueError(
            f"{name}: the last axes have the shape {tuple(shape)}, found an input of {tuple(x.shape)}"
        )
    return x if len(shape) == 1 else x.flatten(-len(shape))
