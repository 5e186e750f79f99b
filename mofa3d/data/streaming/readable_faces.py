"""A corpus of which some cannot be read, for trainings that are to go on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Lock

from torch import Tensor
from torch.utils.data import Dataset

from mofa3d.data.batches.stream import seed_of
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.errors import InputError

_LOG = logging.getLogger(__name__)
MOST_TRIES = 64


class ReadableFaces(Dataset):
    """Faces of a corpus; in place of one that cannot be read comes another one, always the same.

    Args:
        corpus: all faces.
        shown: from which of them others are taken.

    Attributes:
        targets, embeddings: of the corpus.
        unreadable: shards of which faces were left out, with the reason of the first.
    """

    def __init__(self, corpus: Corpus, shown: Sequence[int]) -> None:
        self._corpus, self._shown = corpus, shown
        self.targets, self.embeddings = corpus.targets, corpus.embeddings
        self.unreadable: dict[int, str] = {}
        self._telling = Lock()

    def __len__(self) -> int:
        return len(self._corpus)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        chosen = index
        for attempt in range(MOST_TRIES):
            try:
                return self._corpus[chosen]
            except InputError as error:
                self._tell(chosen, error)
                last = error
            chosen = self._shown[seed_of(index, attempt) % len(self._shown)]
        raise InputError(f"{MOST_TRIES} faces, one after the other, cannot be read; the last one: {last}")

    def _tell(self, index: int, error: InputError) -> None:
        [shard] = self._corpus.shards_of([index])
        with self._telling:
            known = shard in self.unreadable
            self.unreadable.setdefault(shard, str(error))
        if not known:
            _LOG.warning("faces are left out: %s", error)
