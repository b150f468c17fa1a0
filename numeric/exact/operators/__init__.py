"""What each PyTorch operator does to exact numbers: one row each, by topic."""

from gradproof.numeric.exact.operators import moves, pointwise, products, reductions, selections

__all__ = ["moves", "pointwise", "products", "reductions", "selections"]
