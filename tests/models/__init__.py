"""Layers and models against PyTorch."""
