"""A photograph to try the page with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

# Rear Admiral Grace Hopper, by James S. Davis, US Navy, 1984: in the public domain. Matplotlib brings it.
PLACE = ("mpl-data", "sample_data", "grace_hopper.jpg")


def sample_photograph() -> Path | None:
    """Where it is; ``None`` where matplotlib is packed without it. Matplotlib itself is not imported."""
    found = find_spec("matplotlib")
    folders = found.submodule_search_locations if found else None
    path = Path(*folders, *PLACE) if folders and len(folders) == 1 else None
    return path if path is not None and path.is_file() else None
