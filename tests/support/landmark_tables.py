"""Landmarks as a user would write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mofa3d.data.landmark_table import HEADER, Points
from mofa3d.files.whole import write_table


def write_landmarks(path: Path, table: Mapping[str, Points]) -> None:
    """Write a table of landmarks (pixels), to a hundredth of a pixel."""
    rows = [[name, *(f"{value:.2f}" for value in points.ravel())] for name, points in table.items()]
    write_table(path, [HEADER, *rows])
