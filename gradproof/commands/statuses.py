"""What a command ends with: the exit status, and what is said of a misuse."""

from __future__ import annotations

PROVED, REFUTED, UNDECIDED, MISUSE, INTERNAL = range(5)
"""What the exit status says: 3 is misuse or unreadable input, 4 an internal error."""

STATUS = {"proved": PROVED, "refuted": REFUTED, "undecided": UNDECIDED}


class MisuseError(Exception):
    """What the user asked for cannot be done; the message says why."""
