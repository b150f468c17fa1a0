"""Elementwise blocks in Triton: run on a GPU or in Triton's interpreter, or read back."""
