"""The operations, by topic; importing this package fills the table."""

from gradproof.symbolic.catalogue import activations, attention, losses, normalization, recurrent

__all__ = ["activations", "attention", "losses", "normalization", "recurrent"]
