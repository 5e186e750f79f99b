"""Every epoch sees everything once, and a resumed stream goes on with the same batches."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
import torch
from torch.utils.data import Dataset

from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.stream import WINDOW, Shuffle, batches
from mofa3d.environment.processes import Processes

STILL = AugmentConfig(mirror=0.0)


class Numbers(Dataset):
    """Items whose image says which one it is; odd ones have a code."""

    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image = torch.full((3, 4, 4), float(index))
        image[:, :, 0] = -1.0
        points = {"landmarks": torch.zeros(68, 2), "confidence": torch.ones(68)}
        code = {"code": torch.zeros(5)} if index % 2 else {}
        return {"image": image, "index": torch.tensor(index), **points, **code}


def take(count: int, **options) -> list[dict[str, torch.Tensor]]:
    return list(islice(batches(Numbers(), **{"indices": range(10), "batch_size": 4, "seed": 0, **options}), count))


def same(first, second) -> bool:
    return all(torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


@pytest.mark.parametrize("shards", [None, [1, 0, 2]])
@pytest.mark.parametrize(("count", "size"), [(10, 4), (7, 3), (5, 5), (3, 8), (1, 2)])
def test_every_epoch_is_a_permutation(count, size, shards):
    chosen = range(100, 100 + count)
    shuffle = Shuffle(chosen, seed=2, shards=shards and [shards[i % 3] for i in range(count)])
    stream = [i for iteration in range(4 * count) for i in shuffle.batch(size, iteration)]
    assert len(stream) == 4 * count * size
    for start in range(0, len(stream), count):
        assert sorted(stream[start : start + count]) == list(chosen)


def test_epochs_and_seeds_differ():
    shuffle = Shuffle(range(30), seed=0)
    epochs = [tuple(shuffle.batch(30, epoch)) for epoch in range(5)]
    assert len({*epochs, tuple(Shuffle(range(30), seed=1).batch(30, 0))}) == 6


def test_an_epoch_reads_few_shards_at_a_time_and_mixes_these():
    shards = [i // 10 for i in range(30 * WINDOW)]  # three windows of shards
    order = Shuffle(range(len(shards)), seed=0, shards=shards).batch(len(shards), 0)
    windows = [{shards[i] for i in order[start : start + 10 * WINDOW]} for start in range(0, len(order), 10 * WINDOW)]
    assert [len(window) for window in windows] == [WINDOW] * 3
    assert len(set.union(*windows)) == 3 * WINDOW
    assert max(max(window) - min(window) for window in windows) > 2 * WINDOW  # not neighbours only
    runs = sum(shards[a] == shards[b] for a, b in pairwise(order))
    assert runs < 0.06 * len(order)  # one in WINDOW by chance


@pytest.mark.parametrize("start", [1, 5, 23])
def test_resumed_stream_goes_on_with_the_same_batches(start):
    whole, resumed = take(start + 4), take(4, start=start)
    assert same(whole[start:], resumed)


def test_seed_decides():
    assert same(take(5), take(5))
    assert not same(take(5), take(5, seed=1))


def test_only_the_given_items():
    seen = {int(i) for batch in take(12, indices=[3, 8, 41]) for i in batch["index"]}
    assert seen == {3, 8, 41}


def test_images_belong_to_their_items():
    for batch in take(6):
        assert batch["image"].shape == (4, 3, 4, 4)
        assert torch.equal(batch["image"].amax(dim=(1, 2, 3)), batch["index"].float())


def test_mirrored_half_of_the_time_or_never():
    stream = [image for batch in take(60) for image in batch["image"]]
    mirrored = sum(bool(image[0, 0, -1] == -1) for image in stream)
    assert 80 < mirrored < 160
    assert not any(bool((batch["image"][:, 0, 0, -1] == -1).any()) for batch in take(60, changes=STILL))


def test_batches_hold_what_all_items_have():
    assert "code" not in take(1, indices=[1, 2], batch_size=2)[0]
    assert "code" in take(1, indices=[1, 3], batch_size=2, changes=STILL)[0]


def test_nothing_to_draw_from():
    with pytest.raises(ValueError, match="nothing to train on"):
        next(batches(Numbers(), [], 4, 0))


def test_errors_of_the_data_come_through():
    class Broken(Numbers):
        def __getitem__(self, index):
            raise ValueError("photograph 7 is gone")

    with pytest.raises(ValueError, match="photograph 7 is gone"):
        next(batches(Broken(), [0], 1, 0))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_each_batch_and_read_nothing_else(count):
    changes, read = AugmentConfig(color=0.2, occluders=0.5), [set() for _ in range(count)]

    class Noting(Numbers):
        def __init__(self, rank: int) -> None:
            self.rank = rank

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            read[self.rank].add(index)
            return super().__getitem__(index)

    def of(rank: int) -> list[dict[str, torch.Tensor]]:
        share = Processes(rank, count)
        return list(islice(batches(Noting(rank), range(50), 4, 0, changes=changes, processes=share), 3))

    shares = [of(rank) for rank in range(count)]
    for number, whole in enumerate(take(3, indices=range(50), changes=changes)):
        for name, value in whole.items():
            assert torch.equal(torch.cat([share[number][name] for share in shares]), value)
    assert all(first.isdisjoint(second) for first, second in pairwise(read))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="a batch of 4 cannot be divided among 3 processes"):
        take(1, processes=Processes(0, 3))
