"""A corpus in a GPU's memory, for trainings that would otherwise wait for photographs to be read and changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from os import cpu_count

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from tqdm import tqdm

from mofa3d.data.batches.augment import AugmentConfig, augment
from mofa3d.data.batches.stream import Shuffle, seed_of
from mofa3d.environment.processes import ALONE, Processes
from mofa3d.errors import InputError


class ResidentFaces:
    """Faces of a corpus on a device, images in 8 bits.

    Args:
        dataset: items as `mofa3d.data.corpus.dataset.Corpus` has them; images that came from 8 bits stay the same.
        indices: which items.
        device: where they go.

    Attributes:
        rows: where each item of the dataset is in the following.
        images: (K, 3, H, W) uint8.
        landmarks: (K, 68, 2) px.
        confidence: (K, 68).

    Raises:
        InputError: no items.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int], device: str | torch.device) -> None:
        if not len(indices):
            raise InputError("there is nothing to train on; give more photographs or hold fewer out")
        self.device = torch.device(device)
        self.rows = {index: row for row, index in enumerate(dict.fromkeys(indices))}
        size = dataset[next(iter(self.rows))]["image"].shape
        self.images = torch.empty(len(self.rows), *size, dtype=torch.uint8, device=device)
        self.landmarks = torch.empty(len(self.rows), 68, 2, device=device, dtype=torch.float32)
        self.confidence = torch.empty(len(self.rows), 68, device=device, dtype=torch.float32)
        added = (getattr(dataset, name, None) for name in ("targets", "embeddings"))
        self.added = [table for table in added if table is not None]

        def load(pair: tuple[int, int]) -> None:
            index, row = pair
            item = dataset[index]
            self.images[row] = (item["image"] * 255).round().to(torch.uint8)
            self.landmarks[row], self.confidence[row] = item["landmarks"], item["confidence"]

        with ThreadPoolExecutor(cpu_count()) as pool:
            loaded = pool.map(load, self.rows.items())
            for _ in tqdm(loaded, "read", len(self.rows), unit="face", leave=False, dynamic_ncols=True, mininterval=1):
                pass

    def batches(
        self,
        indices: Sequence[int],
        batch_size: int,
        seed: int,
        start: int = 0,
        changes: AugmentConfig | None = None,
        processes: Processes = ALONE,
    ) -> Iterator[dict[str, Tensor]]:
        """Batches from iteration `start` on; the same seed and iteration give the same batch.

        They are those of `mofa3d.data.batches.stream.batches` without shards, whose order keeps to these.

        Args:
            indices: items of the dataset to draw from, each as often as it is named; all of them must be here.
            batch_size, processes: as there; every process has all items, because the order mixes them all.
            changes: how items are changed at random; ``None`` mirrors half of them.

        Yields:
            ``image`` (B, 3, H, W) in 0 to 1, ``landmarks`` (B, 68, 2) px, ``confidence`` (B, 68), ``index`` (B,), and
            with occluders ``input`` (B, 3, H, W), all on the device.

        Raises:
            InputError: no indices, or batches that cannot be divided among the processes.
            KeyError: an index that is not here.
        """
        shuffle, changes = Shuffle(indices, seed), changes or AugmentConfig()
        mine = processes.rows(batch_size)
        for iteration in count(start):
            generator = torch.Generator().manual_seed(seed_of(seed, iteration, 1))
            chosen = shuffle.batch(batch_size, iteration)[mine]
            rows = torch.tensor([self.rows[index] for index in chosen], device=self.device)
            batch = {
                "image": self.images[rows].float() / 255,
                "landmarks": self.landmarks[rows],
                "confidence": self.confidence[rows],
                "index": torch.tensor(chosen, device=self.device),
            }
            for table in self.added:
                values = default_collate([table.item(index) for index in chosen])
                batch |= {name: value.to(self.device) for name, value in values.items()}
            yield augment(batch, changes, generator, processes.rank, processes.count)
