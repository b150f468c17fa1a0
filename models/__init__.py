"""What it is for: layers and models whose forward and backward are kernels."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradproof.models.activations import (
        ELU,
        GELU,
        Identity,
        LeakyReLU,
        LogSoftmax,
        ReLU,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Tanh,
    )
    from gradproof.models.attention import MultiheadAttention
    from gradproof.models.conversion import Conversion, convert
    from gradproof.models.custom import Recurrent
    from gradproof.models.layers import Dropout, Embedding, LayerNorm, Linear, RMSNorm
    from gradproof.models.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
    from gradproof.models.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
    from gradproof.models.transformer import (
        Transformer,
        TransformerDecoder,
        TransformerDecoderLayer,
        TransformerEncoder,
        TransformerEncoderLayer,
    )

_MODULES = (
    "activations",
    "attention",
    "conversion",
    "custom",
    "layers",
    "losses",
    "recurrent",
    "transformer",
)
"""Where the names below are; imported when one is first asked for (PEP 562), since they need torch."""

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "BCEWithLogitsLoss",
    "Conversion",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MultiheadAttention",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "Recurrent",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "convert",
]


def import_layers() -> None:
    """Import every layer, so that each function of theirs is made."""
    for stem in _MODULES:
        import_module(f"{__name__}.{stem}")


def __getattr__(name: str) -> object:
    if name in __all__:
        for module in (import_module(f"{__name__}.{stem}") for stem in _MODULES):
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
