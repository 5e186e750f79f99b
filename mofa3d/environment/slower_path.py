"""A warning that something as good, but slower, is used instead of what was asked for."""

from __future__ import annotations

import warnings


class SlowerPathWarning(UserWarning):
    """Says what is missing, what is done instead, and how to have it, where that can be had."""


def warn_in_one_line() -> None:
    """Let programs show such a warning as one line, as they do mistakes, without the place in the code."""
    format_others = warnings.formatwarning

    def format_warning(message, category, filename, lineno, line=None) -> str:
        if issubclass(category, SlowerPathWarning):
            return f"warning: {message}\n"
        return format_others(message, category, filename, lineno, line)

    warnings.formatwarning = format_warning
