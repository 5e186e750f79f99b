"""The kind of error that a user can mend."""


class InputError(ValueError):
    """A file, an option or an array cannot be used; the message states what was expected, what came, and what to do.

    Programs show its message alone. Every other exception, a plain `ValueError` too, is a bug: it keeps its traceback.
    """
