"""What is said of a mistake in what a user gives to a model: one sentence."""


class InputError(ValueError):
    """What was given cannot be used: what was found, what was expected, and what to do."""
