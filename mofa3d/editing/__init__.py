"""Change a code and put the edited face back into its photograph."""

from importlib import import_module

__all__ = ["add_expression", "relight", "turn"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("mofa3d.editing.codes"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
