"""Exact execution: programs on exact numbers."""
