"""The kind of error that a user can mend, and the warning that something takes longer than it could."""


class InputError(ValueError):
    """A file, an option or an array cannot be used; the message states what was expected, what came, and what to do.

    Programs show its message alone. Every other exception, a plain `ValueError` too, is a bug: it keeps its traceback.
    """


class SlowerPathWarning(UserWarning):
    """Something as good, but slower, is used: says what is missing, what is done instead, and how to have it.

    Programs show it as one line.
    """
