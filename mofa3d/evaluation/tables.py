"""Tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

COLUMNS = {
    "photometric": ("photometric error", ".3f"),
    "landmark": ("landmark error (px)", ".2f"),
    "area": ("area ratio", ".2f"),
    "geometric": ("geometric error (mm)", ".2f"),
    "seconds": ("seconds per image", ".2f"),
}


def number(value: float, form: str) -> str:
    """A number in a table; a dash where there is none."""
    return format(value, form) if math.isfinite(value) else "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without a line break at its end; every row has as many cells as the head."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
