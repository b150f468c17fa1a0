"""Printers of one straight-line program, one for each target."""
