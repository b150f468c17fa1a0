"""`gradproof.check`: whether a backward that somebody wrote is right, for the shapes and regions that were
run.
"""
