"""Names of millions of shards in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool


class ShardNames:
    """Paths or URLs in their order: folders once, and files one after the other in one piece of memory.

    Args:
        names: are gone through once.

    Attributes:
        folders: of all of them, up to the slash and with it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        folders: dict[str, int] = {}
        self._folder, self._end, self._files = array("I"), array("Q", [0]), bytearray()
        for name in names:
            cut = max(name.rfind("/"), name.rfind("\\")) + 1
            self._folder.append(folders.setdefault(name[:cut], len(folders)))
            self._files += name[cut:].encode("utf-8", "surrogateescape")
            self._end.append(len(self._files))
        self.folders = list(folders)

    def __len__(self) -> int:
        return len(self._folder)

    def __getitem__(self, number: int) -> str:
        file = self._files[self._end[number] : self._end[number + 1]]
        return self.folders[self._folder[number]] + file.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def distinct(self) -> ShardNames:
        """Each name once, where it came first."""
        hashes = np.fromiter(map(hash, self), dtype=np.int64, count=len(self))
        return self if len(np.unique(hashes)) == len(self) else ShardNames(dict.fromkeys(self))

    def only(self, wanted: Bool[np.ndarray, "S"]) -> ShardNames:
        """Those that are wanted."""
        return self if wanted.all() else ShardNames(self[int(number)] for number in np.flatnonzero(wanted))
