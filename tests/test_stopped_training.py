"""Whatever stops a training: what was learned is kept, and it goes on as if nothing had happened."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
import small_training
import torch
from full_disk import FullDisk
from small_training import Config, train
from trained import assert_equal, content_of, lines, saved

from mofa3d.encoders.checkpoint import how_to_go_on, read_checkpoint
from mofa3d.files import whole as whole_files
from mofa3d.files.locks import alone
from mofa3d.training import log as training_log
from mofa3d.training import loop
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.interruption import Interruption, as_ctrl_c
from mofa3d.training.mofa import TrainingConfig
from mofa3d.training.progress import Progress, is_due

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class CrashError(Exception):
    """Something that nobody foresaw."""


def at(iteration: int, act):
    """Does something in one step."""
    return lambda now: act() if now == iteration else None


def crash() -> None:
    raise CrashError


def send(number: int):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def whole(tmp_path) -> tuple[dict, list[dict]]:
    """What an unbroken training of ten steps comes to."""
    train(Config(tmp_path / "whole"))
    return content_of(tmp_path / "whole")


class TestSignals:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_each_saves_every_step_and_resumed_the_training_equals_an_unbroken_one(self, tmp_path, whole, number):
        out = tmp_path / "out"
        with pytest.raises(Interruption, match=r"stopped after iteration 3, saved in .*checkpoint\.pt") as ended:
            train(Config(out), at(2, send(number)))
        assert ended.value.number == number
        assert saved(out) == 3
        train(Config(out, resume=True))
        assert_equal(content_of(out), whole)

    def test_the_second_ends_at_once_and_leaves_the_last_checkpoint(self, tmp_path, capfd):
        out = tmp_path / "out"

        def twice() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

        with as_ctrl_c(), pytest.raises(Interruption) as ended:
            train(Config(out), at(7, twice))
        assert (str(ended.value), saved(out)) == ("", 7)
        assert "stopping after this step; another time ends at once, without saving" in capfd.readouterr().err

    def test_one_that_comes_in_the_last_step_ends_the_program_after_it_was_saved(self, tmp_path):
        with pytest.raises(Interruption, match="stopped after iteration 10,"):
            train(Config(tmp_path / "out"), at(9, send(signal.SIGINT)))
        assert saved(tmp_path / "out") == 10

    def test_a_program_says_what_it_kept_and_ends_with_the_signals_status(self, tmp_path):
        command = [sys.executable, small_training.__file__, "--out", str(tmp_path), "--pause", "0.05", "--iterations"]
        process = subprocess.Popen([*command, "9999"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        log = tmp_path / "metrics.jsonl"
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        _, said = process.communicate(timeout=30)
        file = tmp_path / "checkpoint.pt"
        kept = f"stopped after iteration {saved(tmp_path)}, saved in {file}; continue with --resume"
        assert said.splitlines()[-1] == kept
        assert process.returncode == 143
        assert len(lines(tmp_path)) == saved(tmp_path)


class TestCrashes:
    def test_before_the_first_one_is_due_there_is_a_checkpoint_to_go_on_from(self, tmp_path, whole):
        out = tmp_path / "out"
        with pytest.raises(CrashError):
            train(Config(out), at(1, crash))
        assert saved(out) == 0
        train(Config(out, resume=True))
        assert_equal(content_of(out), whole)

    def test_after_it_at_most_half_an_interval_is_lost(self, tmp_path, whole):
        out = tmp_path / "out"
        with pytest.raises(CrashError):
            train(Config(out), at(9, crash))
        assert saved(out) == 7
        train(Config(out, resume=True))
        assert_equal(content_of(out), whole)

    def test_an_error_of_the_data_loses_no_step(self, tmp_path, whole, monkeypatch):
        out, good = tmp_path / "out", small_training.batches

        def spoiled(start: int):
            for iteration, batch in enumerate(good(start), start):
                if iteration == 3:
                    raise OSError(errno.EIO, "the disk of the data is gone", "shards/000001.tar")
                yield batch

        monkeypatch.setattr(small_training, "batches", spoiled)
        with pytest.raises(OSError, match=r"is gone: 'shards/000001\.tar'"):
            train(Config(out))
        assert saved(out) == 3
        monkeypatch.setattr(small_training, "batches", good)
        train(Config(out, resume=True))
        assert_equal(content_of(out), whole)

    @pytest.mark.parametrize("damage", ['{"iteration": 6, "lo', "\x00\x00\x00\n", '[1]\n{"seconds": 3}\n'])
    def test_a_log_that_ends_in_the_middle_of_a_line_is_mended(self, tmp_path, whole, damage):
        out = tmp_path / "out"
        train(Config(out, iterations=10))
        with open(out / "metrics.jsonl", "a", encoding="utf-8") as log:
            log.write(damage)
        train(Config(out, resume=True))
        assert_equal(content_of(out), whole)


class TestFullDisks:
    def test_of_a_checkpoint_it_is_named_and_the_last_one_stays(self, tmp_path, monkeypatch):
        out, opened = tmp_path / "out", open

        def fill() -> None:
            monkeypatch.setattr(whole_files, "open", lambda *args: FullDisk(opened(*args), 2000), raising=False)

        with pytest.raises(OSError, match=r"No space left on device: '.*checkpoint\.pt'") as raised:
            train(Config(out), at(9, fill))
        assert raised.value.errno == errno.ENOSPC
        assert saved(out) == 7
        assert not list(out.glob(".*.part"))

    def test_of_the_log_it_is_named_and_no_step_is_lost(self, tmp_path, monkeypatch, whole):
        out, opened = tmp_path / "out", open
        monkeypatch.setattr(
            training_log, "open", lambda *args, **options: FullLog(opened(*args, **options), 250), raising=False
        )
        with pytest.raises(OSError, match=r"No space left on device: '.*metrics\.jsonl'"):
            train(Config(out))
        failed = saved(out)
        assert 2 <= failed < 10
        monkeypatch.undo()
        train(Config(out, resume=True))
        content, log = content_of(out)
        assert_equal(content, whole[0])
        assert log == [line for line in whole[1] if line["iteration"] != failed]  # whose line found no room


class FullLog(FullDisk):
    def write(self, text: str) -> int:
        if len(text) > self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(text)
        return self.file.write(text)


class TestFolders:
    def test_a_training_that_is_there_is_not_begun_again(self, tmp_path):
        train(Config(tmp_path / "out", iterations=1))
        with pytest.raises(ValueError, match="already contains a training; pass --resume to continue it, or"):
            train(Config(tmp_path / "out"))
        assert saved(tmp_path / "out") == 1

    def test_nor_one_of_which_only_the_log_is_left(self, tmp_path):
        (tmp_path / "metrics.jsonl").write_text("{}\n")
        with pytest.raises(ValueError, match=r"contains the metrics\.jsonl of a training without a checkpoint"):
            train(Config(tmp_path))
        assert (tmp_path / "metrics.jsonl").read_text() == "{}\n"

    def test_two_at_once_are_refused(self, tmp_path):
        train(Config(tmp_path / "out", iterations=1))
        before = (tmp_path / "out" / "checkpoint.pt").read_bytes()
        with alone(tmp_path / "out"), pytest.raises(ValueError, match="another process is writing"):
            train(Config(tmp_path / "out", resume=True))
        assert (tmp_path / "out" / "checkpoint.pt").read_bytes() == before

    def test_what_killed_trainings_were_writing_is_removed(self, tmp_path):
        (tmp_path / f".checkpoint.pt.{os.getpid()}-9.part").write_text("half")
        train(Config(tmp_path, iterations=1))
        assert not list(tmp_path.glob(".*.part"))

    def test_any_of_several_files_can_be_gone_on_from(self, tmp_path):
        names = ("checkpoint.pt", "targets")
        (tmp_path / "targets").touch()
        with claim_folder(tmp_path, True, names):
            pass
        with pytest.raises(ValueError, match="already contains a training"), claim_folder(tmp_path, False, names):
            pytest.fail("begun again")
        with pytest.raises(ValueError, match="contains no training"), claim_folder(tmp_path / "new", True, names):
            pytest.fail("gone on from nothing")
        assert not (tmp_path / "new").exists()

    def test_what_is_said_of_a_training_depends_on_what_it_left(self, tmp_path):
        assert how_to_go_on(tmp_path) == "stopped before anything was learned; the same command starts again"
        (tmp_path / "checkpoint.pt").touch()
        assert how_to_go_on(tmp_path) == f"stopped; --resume goes on from what is in {tmp_path}"


class TestCheckpoints:
    def test_one_without_random_states_is_resumed_with_a_warning(self, tmp_path, caplog):
        train(Config(tmp_path, iterations=2))
        content = read_checkpoint(tmp_path / "checkpoint.pt")
        del content["random"]
        torch.save(content, tmp_path / "checkpoint.pt")
        train(Config(tmp_path, resume=True, iterations=3))
        assert any("checkpoint.pt was written by an older version without random" in said for said in caplog.messages)
        assert saved(tmp_path) == 3

    @pytest.mark.parametrize("states", [{}, {"torch": torch.zeros(3), "numpy": ("MT19937", 1), "python": 0}])
    def test_damaged_random_states_are_refused(self, tmp_path, states):
        train(Config(tmp_path, iterations=2))
        content = read_checkpoint(tmp_path / "checkpoint.pt")
        torch.save({**content, "random": states}, tmp_path / "checkpoint.pt")
        with pytest.raises(ValueError, match=r"checkpoint\.pt: the random states are damaged"):
            train(Config(tmp_path, resume=True, iterations=3))

    @pytest.mark.parametrize(
        ("steps", "minutes", "progress", "due"),
        [
            (5, 0.0, Progress(10, 20.0), True),
            (5, 0.0, Progress(9, 1e6), False),
            (5, 0.0, Progress(12, 20.0), True),
            (5, 0.0, Progress(13, 20.0), False),
            (1, 0.0, Progress(3, 20.0), True),
            (0, 1.0, Progress(9, 39.0), False),
            (0, 1.0, Progress(9, 40.0), True),
            (4, 1.0, Progress(9, 40.0), True),
            (0, 0.0, Progress(10, 1e6), False),
        ],
    )
    def test_are_due_after_half_as_many_steps_or_minutes(self, steps, minutes, progress, due):
        schedule = TrainingConfig(checkpoint_every=steps, checkpoint_minutes=minutes)
        assert is_due(schedule, progress, saved=10.0) is due

    @pytest.mark.parametrize("name", ["minutes", "checkpoint_minutes", "checkpoint_every", "log_every"])
    def test_intervals_that_make_no_sense_are_refused(self, name):
        with pytest.raises(ValueError, match=f"{name} is -1; give a number at least"):
            TrainingConfig(**{name: -1})


def test_the_learning_rate_asked_for_when_resuming_is_used(tmp_path):
    network = small_training.make_network()

    def rates(rate: float, iterations: int, resume: bool) -> list[float]:
        optimizer, seen = torch.optim.SGD(network.parameters(), lr=rate), []

        def step(batch: loop.Batch, _iteration: int) -> loop.Step:
            seen.append(optimizer.param_groups[0]["lr"])
            loss = network(batch["image"]).square().mean(dim=1)
            return loop.Step({"loss": loss}, loss.mean())

        config = TrainingConfig(iterations=iterations)
        loop.optimize(network, optimizer, step, small_training.batches, config, tmp_path, {}, resume)
        return seen

    assert rates(0.1, 2, False) == [0.1, 0.1]
    assert rates(0.01, 4, True) == [0.01, 0.01]
