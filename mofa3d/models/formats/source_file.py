"""Files that people get from elsewhere: where they lie, whether they are what they should be, and what to do if not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mofa3d.errors import InputError


@dataclass(frozen=True)
class SourceFile:
    """A published file.

    Attributes:
        name: as it is published.
        title: the face model it belongs to.
        url: where its owners hand it out.
    """

    name: str
    title: str
    url: str

    def locate(self, path: str | Path | None) -> Path:
        """The file at a path, which may also name its folder; a file may have been renamed.

        Raises:
            InputError: there is none, or no path was given.
        """
        if path is None:
            raise InputError(f"{self.title} needs the file {self.name}: get it from {self.url} and give its path=")
        path = Path(path)
        file = path / self.name if path.is_dir() else path
        if not file.is_file():
            raise InputError(f"there is no {file}; {self.title} needs the file {self.name}, which {self.url} has")
        return file

    def beside(self, model: Path, path: str | Path | None) -> Path | None:
        """An optional file: at a path if one is given, else in the folder of the model's file, else ``None``.

        Raises:
            InputError: it is not where the path says.
        """
        if path is not None:
            return self.locate(path)
        file = model.parent / self.name
        return file if file.is_file() else None

    def damaged(self, file: Path, problem: object) -> InputError:
        """What to raise about a file whose content is not what it should be."""
        what = f"{file} is not a usable {self.name} of {self.title}"
        return InputError(f"{what}: {problem}; get it again from {self.url}")

    def array(self, file: Path, content: Mapping, key: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """One array of a file's content.

        Args:
            file: where the content comes from.
            content: keys to arrays.
            key: which one.
            shape: expected; ``None`` stands for any positive length.

        Raises:
            InputError: it is missing, of another shape, no numbers, or not finite.
        """
        if key not in content:
            raise self.damaged(file, f"it has no {key!r}")
        array = np.asarray(content[key])
        if array.dtype.kind not in "fiu":
            raise self.damaged(file, f"{key!r} is of type {array.dtype}, expected numbers")
        fits = len(array.shape) == len(shape) and all(
            length == wanted or (wanted is None and length > 0)
            for length, wanted in zip(array.shape, shape, strict=True)
        )
        if not fits:
            expected = " × ".join("any" if wanted is None else str(wanted) for wanted in shape)
            came = " × ".join(map(str, array.shape)) or "a single number"
            raise self.damaged(file, f"expected {expected} numbers as {key!r}, got {came}")
        if not np.isfinite(array).all():
            raise self.damaged(file, f"{key!r} has values that are not finite")
        return array

    def indices(self, file: Path, content: Mapping, key: str, shape: tuple[int | None, ...], count: int) -> np.ndarray:
        """One array of indices counted from 1, as MATLAB does, counted from 0.

        Raises:
            InputError: as `array`, or they do not lie in 1 to `count`.
        """
        array = self.array(file, content, key, shape)
        return self.in_range(file, key, array.astype(np.int64) - 1, count, first=1)

    def in_range(self, file: Path, key: str, indices: np.ndarray, count: int, first: int = 0) -> np.ndarray:
        """Check indices, counted from 0; the message counts from `first`, as the file does.

        Raises:
            InputError: they do not lie in 0 to `count` - 1.
        """
        if indices.size and not 0 <= indices.min() <= indices.max() < count:
            low, high = indices.min() + first, indices.max() + first
            last = count - 1 + first
            raise self.damaged(file, f"{key!r} has indices from {low} to {high}, expected {first} to {last}")
        return indices
