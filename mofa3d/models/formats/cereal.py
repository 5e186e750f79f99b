"""Read what the C++ library cereal writes as a binary archive: values one after the other, little-endian, unnamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

Value = TypeVar("Value")


class ArchiveError(Exception):
    """The bytes end too early, or hold numbers that make no sense."""


class Archive:
    """A position in the bytes of an archive.

    Args:
        content: the whole archive.

    Raises:
        ArchiveError: from every method, where the bytes do not hold what is asked for.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    @property
    def remaining(self) -> int:
        """How many bytes have not been read."""
        return len(self._content) - self._position

    def numbers(self, kind: str, count: int) -> np.ndarray:
        """`count` numbers of a NumPy type, such as ``"<f4"``."""
        size = np.dtype(kind).itemsize * count
        if count < 0 or size > self.remaining:
            raise ArchiveError(
                f"{count} numbers of {np.dtype(kind).itemsize} bytes are announced at byte {self._position}, but only "
                f"{self.remaining} bytes follow"
            )
        values = np.frombuffer(self._content, dtype=kind, count=count, offset=self._position)
        self._position += size
        return values

    def number(self, kind: str) -> int:
        """One integer."""
        return int(self.numbers(kind, 1)[0])

    def string(self) -> str:
        """A text with its length."""
        raw = self.numbers("u1", self.number("<u8")).tobytes()
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArchiveError(f"a text before byte {self._position} is not UTF-8") from error

    def rows(self, kind: str, width: int) -> np.ndarray:
        """A vector of arrays of `width` numbers, with its length: (K, width)."""
        count = self.number("<u8")
        return self.numbers(kind, count * width).reshape(count, width)

    def matrix(self) -> np.ndarray:
        """A matrix of Eigen's: rows, columns, and float32 numbers column by column."""
        rows, columns = self.number("<i4"), self.number("<i4")
        if rows < 0 or columns < 0:
            raise ArchiveError(f"a matrix before byte {self._position} has {rows} × {columns} numbers")
        return self.numbers("<f4", rows * columns).reshape(rows, columns, order="F")

    def list(self, item: Callable[[], Value]) -> list[Value]:
        """A vector of anything, with its length."""
        count = self.number("<u8")
        if count > self.remaining:
            raise ArchiveError(f"{count} items are announced before byte {self._position}, more than there are bytes")
        return [item() for _ in range(count)]

    def optional(self, item: Callable[[], Value]) -> Value | None:
        """Something that may be absent."""
        absent = self.number("u1")
        if absent not in (0, 1):
            raise ArchiveError(f"before byte {self._position} stands {absent} where 1 says absent and 0 says present")
        return None if absent else item()
