"""The axes that the operations of the catalogue share."""

from gradproof.symbolic.axes import Axis, batch

BATCH = batch()
CLASSES = Axis("classes", minimum=1)
FEATURES = Axis("features", minimum=1)
EMBED = Axis("embed", minimum=1)
QUERY = Axis("query")
KEY = Axis("key")
VALUE = Axis("value")
TIME = Axis("time")
INPUT = Axis("input")
OUTPUT = Axis("output")
HIDDEN = Axis("hidden")
GATE = Axis("gate", size=4)
GATE3 = Axis("gate3", size=3)
VOCAB = Axis("vocab", minimum=1)
