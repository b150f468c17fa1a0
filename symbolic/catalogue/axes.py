"""The axes that the operations of the catalogue share."""

from gradproof.symbolic.axes import Axis, batch

BATCH = batch()
EXAMPLES = Axis("examples", minimum=1, variadic=True)
"""Leading axes over which a mean is taken: there is at least one example."""

TERMS = Axis("terms")
CLASSES = Axis("classes", minimum=1)
FEATURES = Axis("features", minimum=1)
EMBED = Axis("embed", minimum=1)
INNER = Axis("inner")
QUERY = Axis("query")
KEY = Axis("key")
VALUE = Axis("value")
MEMORY = Axis("memory")
ALIGNMENT = Axis("alignment")
HEAD = Axis("head")
HEAD_DIM = Axis("head_dim", minimum=1)
TIME = Axis("time")
PAIR = Axis("pair", minimum=1)
PART = Axis("part", size=2)
INPUT = Axis("input")
OUTPUT = Axis("output")
LEFT = Axis("left")
RIGHT = Axis("right")
HIDDEN = Axis("hidden")
GATE = Axis("gate", size=4)
GATE3 = Axis("gate3", size=3)
PEEPHOLE = Axis("peephole", size=3)
VOCAB = Axis("vocab", minimum=1)
