"""Elementwise blocks in C: compiled by the system's compiler, called on raw pointers, or read back."""
