"""Checkpoints while a training goes on: which are kept, and that nobody waits for them."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest
import small_training
import torch
from full_disk import FullDisk
from small_training import Config, train
from trained import content_of, lines, saved

from mofa3d.encoders.checkpoint import read_checkpoint
from mofa3d.errors import InputError
from mofa3d.files import whole as whole_files
from mofa3d.training import keeper
from mofa3d.training.checkpoint import restore
from mofa3d.training.interruption import Interruption
from mofa3d.training.progress import BestLoss


def ask_to_end_at(iteration: int):
    return lambda now: os.kill(os.getpid(), signal.SIGTERM) if now == iteration else None


def iterations_of(out) -> dict[str, int]:
    return {path.name: read_checkpoint(path)["progress"]["iteration"] for path in sorted(out.glob("*.pt"))}


class TestKept:
    def test_only_the_latest_by_default(self, tmp_path):
        train(Config(tmp_path, iterations=6, checkpoint_every=2))
        assert iterations_of(tmp_path) == {"checkpoint.pt": 6}

    def test_the_last_few_and_the_best(self, tmp_path):
        train(Config(tmp_path, iterations=9, checkpoint_every=2, keep_last=2, keep_best=True))
        losses = [line["loss"] for line in lines(tmp_path)]
        means = [sum(losses[i : i + 2]) / 2 for i in (0, 2, 4, 6)]
        best = 2 * (means.index(min(means)) + 1)
        expected = {"best.pt": best, "checkpoint-00000008.pt": 8, "checkpoint-00000009.pt": 9, "checkpoint.pt": 9}
        assert iterations_of(tmp_path) == expected
        assert read_checkpoint(tmp_path / "checkpoint.pt")["best"]["lowest"] == pytest.approx(min(means), rel=1e-6)
        assert not list(tmp_path.glob(".*.part"))

    def test_stopped_in_the_middle_of_intervals_it_finds_the_same_best(self, tmp_path):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        train(Config(whole, checkpoint_every=4, keep_best=True))
        for last in (2, 5):
            with pytest.raises(Interruption):
                train(Config(parts, "auto", checkpoint_every=4, keep_best=True), ask_to_end_at(last))
        train(Config(parts, "auto", checkpoint_every=4, keep_best=True))
        assert content_of(whole)[0]["best"] == content_of(parts)[0]["best"]
        assert iterations_of(whole)["best.pt"] == iterations_of(parts)["best.pt"]

    def test_a_disk_without_links_has_copies(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        train(Config(tmp_path, iterations=4, checkpoint_every=2, keep_last=2))
        assert set(iterations_of(tmp_path).values()) == {3, 4}
        assert not list(tmp_path.glob(".*.part"))

    def test_a_damaged_record_of_the_best_is_refused(self):
        for damaged in ([1], {"lowest": "low"}, {"other": 1.0}):
            with pytest.raises(InputError, match="its lowest loss is damaged"):
                BestLoss.from_dict(damaged)
        assert BestLoss.from_dict(None) == BestLoss()


class TestWriting:
    def test_steps_go_on_while_a_checkpoint_is_written(self, tmp_path, monkeypatch):
        going, written, write = threading.Event(), [], keeper.write_checkpoint

        def write_slowly(path, content) -> None:
            assert going.wait(30)  # for steps that come after it
            written.append(content["progress"]["iteration"])
            write(path, content)

        monkeypatch.setattr(keeper, "write_checkpoint", write_slowly)
        train(Config(tmp_path, iterations=9, checkpoint_every=10), lambda now: now == 7 and going.set())
        assert written == [5, 9]
        weights = read_checkpoint(tmp_path / "checkpoint.pt")["encoder"]
        assert any(torch.count_nonzero(value) for value in weights.values())

    @pytest.mark.parametrize("every", [1, 2, 7])
    def test_however_slow_the_disk_no_more_than_an_interval_can_be_lost(self, tmp_path, monkeypatch, every):
        awaited, lags, write, finish = threading.Event(), [], keeper.write_checkpoint, keeper.Keeper.finish

        def write_at_last(path, content) -> None:
            assert awaited.wait(30)
            awaited.clear()
            write(path, content)

        def wait(self) -> None:
            if self._pending is not None:
                awaited.set()
            finish(self)

        monkeypatch.setattr(keeper, "write_checkpoint", write_at_last)
        monkeypatch.setattr(keeper.Keeper, "finish", wait)
        train(Config(tmp_path, iterations=22, checkpoint_every=every), lambda now: lags.append(now - saved(tmp_path)))
        assert max(lags) == every - 1  # and one more while the last step of the interval is made

    def test_it_holds_the_numbers_of_its_own_step(self, tmp_path, monkeypatch):
        found, write = {}, keeper.write_checkpoint
        monkeypatch.setattr(
            keeper, "write_checkpoint", lambda path, content: found.update({content["progress"]["iteration"]: content})
        )
        train(Config(tmp_path / "a", iterations=7, checkpoint_every=10))
        monkeypatch.setattr(keeper, "write_checkpoint", write)
        with pytest.raises(Interruption):
            train(Config(tmp_path / "b", iterations=7), ask_to_end_at(4))
        expected = content_of(tmp_path / "b")[0]["encoder"]
        assert all(torch.equal(found[5]["encoder"][name], value) for name, value in expected.items())

    def test_a_full_disk_ends_the_training_at_the_next_step(self, tmp_path, monkeypatch):
        opened, reached = open, []

        def note(now: int) -> None:
            reached.append(now)
            if now == 3:
                monkeypatch.setattr(whole_files, "open", lambda *args: FullDisk(opened(*args), 2000), raising=False)

        with pytest.raises(OSError, match=r"No space left on device: '.*checkpoint\.pt'"):
            train(Config(tmp_path, iterations=500, checkpoint_every=4, pause=0.002), note)
        assert saved(tmp_path) == 2
        assert reached[-1] < 499
        assert not list(tmp_path.glob(".*.part"))


def test_other_data_than_it_began_with_are_refused(tmp_path):
    train(Config(tmp_path, iterations=1), data={"corpus": "a"})
    with pytest.raises(InputError, match=r"was trained with another corpus than is given now \(a, now b\)"):
        train(Config(tmp_path, resume=True, iterations=2), data={"corpus": "b"})
    train(Config(tmp_path, resume=True, iterations=2), data={"corpus": "a", "file of targets": "c"})
    assert saved(tmp_path) == 2
    network = small_training.make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    progress, _ = restore(tmp_path / "checkpoint.pt", network, optimizer, {"note": "small"}, {"corpus": "a"})
    assert progress.iteration == 2
