"""Exact execution: programs of NumPy and PyTorch run over residues in a tower of prime fields instead of
floats.
"""
