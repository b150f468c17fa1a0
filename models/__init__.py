"""What it is for: layers and models whose forward and backward are kernels."""

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
