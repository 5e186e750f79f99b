"""Faces in a device's memory are those of the corpus, in the order in which a training asks for them."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch.utils.data import Dataset

from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.on_gpu import ResidentFaces
from mofa3d.data.batches.stream import Shuffle, batches
from mofa3d.environment.processes import Processes

STILL = AugmentConfig(mirror=0.0)


class SmallFaces(Dataset):
    """Nine small ones."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(index)
        return {
            "image": torch.randint(256, (3, 8, 8), generator=random) / 255,
            "landmarks": torch.rand(68, 2, generator=random),
            "confidence": torch.rand(68, generator=random),
            "index": torch.tensor(index),
            "code": torch.zeros(257),
        }

    def __len__(self) -> int:
        return 9


def take(count: int, **options) -> list[dict[str, torch.Tensor]]:
    indices = [1, 3, 3, 5, 8]
    return list(islice(ResidentFaces(SmallFaces(), indices, "cpu").batches(indices, 2, seed=4, **options), count))


def test_items_are_those_of_the_corpus():
    order = Shuffle([1, 3, 3, 5, 8], seed=4)
    for iteration, batch in enumerate(take(4, changes=STILL)):
        assert batch["index"].tolist() == order.batch(2, iteration)
        for row, index in enumerate(batch["index"].tolist()):
            item = SmallFaces()[index]
            for name in ("image", "landmarks", "confidence"):
                assert torch.equal(batch[name][row], item[name])


def test_batches_are_those_of_the_stream_that_reads_the_corpus():
    changes, indices = AugmentConfig(shift=3.0, color=0.1, occluders=0.5), [1, 3, 3, 5, 8]
    read = batches(SmallFaces(), indices, 2, seed=4, changes=changes)
    for ours, theirs in zip(take(4, changes=changes), islice(read, 4), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_processes_share_each_batch():
    changes = AugmentConfig(shift=3.0, color=0.1, occluders=0.5)
    shares = [take(4, changes=changes, processes=Processes(rank, 2)) for rank in range(2)]
    for number, whole in enumerate(take(4, changes=changes)):
        for name, value in whole.items():
            assert torch.equal(torch.cat([share[number][name] for share in shares]), value)


def test_a_resumed_training_goes_on_with_the_same_batches():
    changes = AugmentConfig(shift=3.0, color=0.1, occluders=0.5)
    whole, rest = take(6, changes=changes), take(2, start=4, changes=changes)
    for left, right in zip(whole[4:], rest, strict=True):
        assert left.keys() == right.keys() == {"image", "landmarks", "confidence", "index", "input"}
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_half_are_mirrored_by_default():
    taken = take(40)
    images = torch.cat([batch["image"] for batch in taken])
    originals = torch.stack([SmallFaces()[index]["image"] for batch in taken for index in batch["index"].tolist()])
    mirrored = (images == originals.flip(-1)).flatten(1).all(dim=1)
    assert (mirrored | (images == originals).flatten(1).all(dim=1)).all()
    assert 0.3 < mirrored.float().mean() < 0.7


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="nothing to train on"):
        ResidentFaces(SmallFaces(), [], "cpu")
