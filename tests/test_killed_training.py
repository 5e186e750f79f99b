"""A training that is killed again and again ends, bit for bit, as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

import pytest
import small_training
import torch
from together import free_port
from trained import SIZES, assert_equal, content_of, lines, saved

from mofa3d.encoders.checkpoint import read_checkpoint
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.training.loop import Step, optimize
from mofa3d.training.mofa import TrainingConfig, make_optimizer

KILLS, EVERY = 20, 7
STEPS = 3000  # not reached while it is killed
pytestmark = pytest.mark.slow

# Much of the time, a checkpoint is being written, so that kills come there too.
SLOWLY = ("--pause", "0.01", "--sync", "0.01")


def command_for(out: Path, *more: str) -> list[str]:
    length = ("--iterations", str(STEPS), "--checkpoint-every", str(EVERY))
    return [sys.executable, small_training.__file__, "--out", str(out), "--resume", "auto", *length, *more]


def reached(out: Path) -> int:
    """The last iteration that the log knows."""
    log = out / "metrics.jsonl"
    return log.read_text(encoding="utf-8").count("\n") if log.exists() else 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_killed_twenty_times_it_ends_as_if_nothing_had_happened(tmp_path, capsys):
    chance, out = random.Random(0), tmp_path / "killed"
    signals = list(islice(cycle([signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL]), KILLS))
    table = []
    for number, sent in enumerate(signals):
        begun = saved(out) if (out / "checkpoint.pt").exists() else 0
        process = subprocess.Popen(
            command_for(out, *SLOWLY), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while reached(out) <= begun + EVERY * (number % 2):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(sent)
        _, said = process.communicate(timeout=600)
        writing = len(list(out.glob(".*.part")))
        lost = reached(out) - saved(out)
        assert process.returncode == (-sent if sent == signal.SIGKILL else 128 + sent), said
        assert lost <= EVERY if sent == signal.SIGKILL else lost == 0
        assert saved(out) > begun or sent == signal.SIGKILL
        table.append((signal.Signals(sent).name, saved(out), lost, writing))
    ended = [
        subprocess.run(command_for(folder), capture_output=True, text=True, check=False)
        for folder in (out, tmp_path / "whole")
    ]
    assert [done.returncode for done in ended] == [0, 0], ended
    ours, theirs = (read_checkpoint(folder / "checkpoint.pt") for folder in (out, tmp_path / "whole"))
    for content in (ours, theirs):
        del content["progress"]["seconds"]
    assert_equal(ours, theirs)
    assert content_of(out)[1] == content_of(tmp_path / "whole")[1]
    assert [line["iteration"] for line in lines(out)] == list(range(1, STEPS + 1))
    assert not list(out.glob(".*.part"))
    writing = ", while a checkpoint was written"
    rows = [f"  {name:7} kept {kept:4}, lost {lost}{writing * found}" for name, kept, lost, found in table]
    worst = max(row[2] for row in table)
    title = f"{KILLS} kills, a checkpoint every {EVERY} steps: at most {worst} steps lost, the end bit for bit the same"
    with capsys.disabled():
        sys.stdout.write("\n".join(["", title, *rows, ""]))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_of_two_processes_either_can_be_killed_and_torchrun_goes_on(tmp_path, capsys):
    """Two kills in one run of torchrun, which starts both again; then SIGTERM and Ctrl-C, as schedulers send them."""
    ids, chance, steps, table = tmp_path / "ids", random.Random(1), 400, []
    ids.mkdir()
    engine = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "2"]

    def start(out: Path, port: int, *more: str) -> subprocess.Popen:
        length = ("--iterations", str(steps), "--checkpoint-every", str(EVERY))
        options = ("--out", str(out), "--resume", "auto", *length, *more)
        command = [*engine, "--master-port", str(port), small_training.__file__, *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def kept() -> int:
        return saved(out) if (out / "checkpoint.pt").exists() else 0

    def wait_for_a_checkpoint(process: subprocess.Popen) -> None:
        begun = kept()
        while kept() <= begun:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.2))

    out = tmp_path / "killed"
    process = start(out, free_port(), *SLOWLY, "--ids", str(ids))
    for rank in (1, 0):
        wait_for_a_checkpoint(process)
        os.kill(int((ids / str(rank)).read_text()), signal.SIGKILL)
        (ids / str(rank)).unlink()
        before = reached(out)
        while not (ids / str(rank)).exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        table.append((f"SIGKILL of process {rank}", saved(out), before - saved(out)))
    for sent in (signal.SIGTERM, signal.SIGINT):
        begun = kept()
        wait_for_a_checkpoint(process)
        process.send_signal(sent)
        _, said = process.communicate(timeout=900)
        assert process.returncode != 0
        assert f"stopped after iteration {saved(out)}, saved in" in said
        assert reached(out) == saved(out) > begun
        table.append((f"{sent.name} to torchrun, which ends with {process.returncode}", saved(out), 0))
        process = start(out, free_port(), *SLOWLY)
    for folder, ending in ((out, process), (tmp_path / "whole", None)):
        ending = ending or start(folder, free_port())
        _, said = ending.communicate(timeout=900)
        assert ending.returncode == 0, said
    assert max(row[2] for row in table) <= EVERY
    ours, theirs = content_of(out), content_of(tmp_path / "whole")
    assert_equal(ours, theirs)
    assert len(ours[1]) == steps
    assert not list(out.glob(".*.part"))
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *(f"  {name}: kept {kept}, lost {lost}" for name, kept, lost in table), ""]))


def test_alexnet_with_its_dropout_ends_as_if_it_had_not_been_stopped(tmp_path):
    """The paper's encoder and AdaDelta, whose dense layers step while gradients are computed."""

    def batches(start: int):
        while True:
            yield {"image": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(start))}
            start += 1

    def run(out: Path, iterations: int, resume: bool = False) -> Encoder:
        torch.manual_seed(0)
        encoder = make_encoder("alexnet", sizes=SIZES, weights=None)
        config = TrainingConfig(iterations=iterations, checkpoint_every=2)

        def step(batch, _iteration: int) -> Step:
            loss = (encoder(batch["image"]) - 0.1).square().mean(dim=1)
            return Step({"loss": loss}, loss.mean())

        out.mkdir(exist_ok=True)
        optimize(encoder, make_optimizer(encoder, config), step, batches, config, out, {}, resume)
        return encoder

    run(tmp_path / "whole", 5)
    run(tmp_path / "parts", 2)
    run(tmp_path / "parts", 5, resume=True)
    for name in ("encoder", "optimizer"):
        assert_equal(*(read_checkpoint(tmp_path / out / "checkpoint.pt")[name] for out in ("parts", "whole")))
