"""Plans are the arithmetic of their costs, and the simulated ranks read everything once."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from programs import ROOT, load

from mofa3d.data.streaming.lanes import ShardOrder

plan_scale = load("plan_scale")

from benchmarks import data_path  # noqa: E402
from benchmarks.data_path import coverage, make_shard, shard_counts  # noqa: E402
from benchmarks.scaling import Cluster, Costs, all_reduce, plan  # noqa: E402

COSTS = Costs(step=0.1, batch=100, parameters=25e6, read=1e-3, decode=2e-3, change=1e-3, size=50_000, prepare=0.36)
CLUSTER = Cluster(
    gpus_per_node=4, cores_per_gpu=8, inside=1e11, between=1e9, latency=0.0, storage=1e9, overlap=0.5, gpu_price=2.0,
    core_price=0.1,
)  # fmt: skip


def test_a_ring_sends_gradients_nearly_twice():
    assert all_reduce(1e9, 1, CLUSTER) == 0
    assert all_reduce(1e9, 4, CLUSTER) == pytest.approx(2 * 3 / 4 * 1e9 / 1e11)
    assert all_reduce(1e9, 8, CLUSTER) == pytest.approx(2 * 7 / 8)  # over the slower network
    assert all_reduce(0, 8, replace(CLUSTER, latency=1e-3)) == pytest.approx(14e-3)


def test_hours_and_prices_of_a_step_that_waits_for_nothing():
    found = plan(3.6e6, 10, 4, COSTS, CLUSTER)
    assert (found.wall, found.efficiency) == ("compute", 1.0)
    assert found.hours == pytest.approx(3.6e7 / 400 * 0.1 / 3600)
    assert found.price == pytest.approx(found.hours * 4 * 2)
    assert found.parts["decoding"] == pytest.approx(100 * 4e-3 / 8)
    assert found.parts["storage"] == pytest.approx(100 * 50_000 * 4 / 1e9)
    assert found.prepare_hours == pytest.approx(3.6e6 * 0.36 / 3600 / 32)
    assert found.prepare_price == pytest.approx(3.6e6 * 0.36 / 3600 * 0.1)


@pytest.mark.parametrize(("costs", "cluster", "gpus", "wall", "step"), [
    (COSTS, replace(CLUSTER, cores_per_gpu=2), 1, "decoding", 0.2),
    (COSTS, replace(CLUSTER, storage=1e8), 4, "storage", 0.2),
    (COSTS, CLUSTER, 8, "all-reduce", 0.1 + 2 * 7 / 8 * 0.1 - 0.05),
    (replace(COSTS, step=1.0), CLUSTER, 64, "compute", 1.0),  # gradients go along with the backward pass
])  # fmt: skip
def test_the_wall_is_what_takes_longest(costs, cluster, gpus, wall, step):
    found = plan(1e6, 1, gpus, costs, cluster)
    assert found.wall == wall
    assert found.step == pytest.approx(step)
    assert found.efficiency == pytest.approx(costs.step / step)


def test_tables_have_a_row_for_each_plan(capsys):
    plan_scale.main(plan_scale.Config(photographs=(150e3, 1e9), gpus=(1, 64)))
    said = capsys.readouterr().out
    assert json.loads(said[said.index("{") : said.rindex("}") + 1])["costs"]["batch"] == plan_scale.MEASURED.batch
    rows = [line.split(" | ")[:2] for line in said.splitlines() if line.startswith("| 1")]
    assert [row for row in rows if row[0] != "| 1"] == [
        ["| 150,000", "1"], ["| 150,000", "64"], ["| 1,000,000,000", "1"], ["| 1,000,000,000", "64"],
    ]  # fmt: skip


def test_the_documentation_has_the_tables_that_it_prints(capsys):
    plan_scale.main(plan_scale.Config())
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 21 + 7 + 4
    assert [row for row in rows if row not in text] == []


def test_ranks_cover_the_shards_and_a_gap_would_be_seen(monkeypatch):
    counts = shard_counts(1003, 10)
    assert (len(counts), counts.sum(), counts[-1]) == (101, 1003, 3)
    for ranks in (1, 2, 8):
        found = coverage(counts, 24 * ranks, ranks, epoch=3)
        assert (found.samples, found.once) == (1003, True)
        assert found.most - found.least <= 1
        assert found.shared <= ranks - 1

    def doubled(order: ShardOrder, epoch: int, rank: int, world: int) -> np.ndarray:
        return share(order, epoch, 0, world)

    share = ShardOrder.share
    monkeypatch.setattr(ShardOrder, "share", doubled)
    assert not coverage(counts, 48, 2).once


@pytest.mark.slow
def test_one_rank_of_many_reads_batches(tmp_path):
    assert 20_000 < make_shard(tmp_path / "shard.tar", 50) / 50 < 80_000
    shards = data_path.find_simulated(100_030, 50, tmp_path / "shard.tar")
    assert len(set(shards.names)) == len(shards.counts) == 2001
    assert shards.counts[-2:].tolist() == [50, 30]
    found = data_path.read_simulated(tmp_path / "shard.tar", 100_000, 50, 48, 1, 2, 3)
    assert found.rate > 1
    assert 1e8 < found.peak < 2e9


@pytest.mark.slow
def test_of_a_billion_faces_a_rank_needs_less_than_two_gigabytes(capsys):
    plan_scale.main(plan_scale.Config(simulate=True))
    said = capsys.readouterr().out
    with capsys.disabled():
        sys.stdout.write(f"\n{said}")
    rows = [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith(("| 1 ", "| 64 "))]
    assert [row[:3] for row in rows] == [["1", "1,000,000,000", "yes"], ["64", "1,000,000,000", "yes"]]
    assert all(0.3 < float(row[8]) <= 2 for row in rows)


@pytest.mark.slow
def test_costs_of_this_machine():
    costs = plan_scale.measured(plan_scale.Config(batch_size=2))
    assert costs.batch == 2
    assert 2e6 < costs.parameters < 5e6
    assert 0 < costs.read + costs.decode < costs.step
    assert costs.prepare > costs.decode


def test_gpu_check_is_skipped_without_a_gpu(capsys, monkeypatch):
    gpu_check = load("gpu_check")
    monkeypatch.setattr(gpu_check.torch.cuda, "is_available", lambda: False)
    assert gpu_check.main(gpu_check.Config()) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["gpu"], found["skipped"]) == (None, "PyTorch finds no CUDA GPU")
    assert "\n\t@$(BIN)/python experiments/gpu_check.py\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


class TestGpuCheck:
    """With a GPU that is not there."""

    @pytest.fixture
    def gpu_check(self, monkeypatch):
        program = load("gpu_check")
        monkeypatch.setattr(program.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(program.torch.cuda, "get_device_name", lambda: "a card")
        monkeypatch.setattr(program, "machine", lambda: "here")
        monkeypatch.setattr(program.torch.cuda, "device_count", lambda: 1)
        return program

    def test_one_check_that_fails_leaves_the_others_and_is_the_status(self, gpu_check, monkeypatch, capsys):
        def broken(seconds: float, config) -> dict:
            raise RuntimeError("no kernel image")

        given = {}
        checks = {
            "steps": broken,
            "nccl": lambda seconds, _: given.update(nccl=seconds) or {"skipped": "one card"},
            "nvdiffrast": lambda seconds, _: given.update(nvdiffrast=seconds) or {"ok": True},
        }
        monkeypatch.setattr(gpu_check, "CHECKS", checks)
        assert gpu_check.main(gpu_check.Config(only=("steps", "nccl", "nvdiffrast"))) == 1
        found = json.loads(capsys.readouterr().out)["checks"]
        assert found["steps"]["error"] == "RuntimeError('no kernel image')"
        assert found["nccl"]["skipped"] == "one card"
        assert given["nccl"] == pytest.approx(600 * 0.15 / 0.35, rel=0.01)
        assert given["nvdiffrast"] == pytest.approx(600, rel=0.01)

    @pytest.mark.parametrize(("said", "status", "expected"), [
        ('noise\n{"ranks": 2, "right": true, "milliseconds": 1.5}\n', 0, {"ok": True, "milliseconds": 1.5}),
        ("ncclInvalidUsage: Duplicate GPU detected : rank 0", 1, {"cards": 1}),
        ("Segmentation fault", 1, {"ok": False, "output": "Segmentation fault", "timed out": False}),
        ("waiting", 124, {"ok": False, "timed out": True}),
    ])  # fmt: skip
    def test_what_two_processes_say(self, gpu_check, monkeypatch, said, status, expected):
        monkeypatch.setattr(gpu_check, "run", lambda command, seconds: (status, said))
        found = gpu_check.nccl(1.0, gpu_check.Config())
        assert expected.items() <= found.items()
        assert ("skipped" in found) == ("Duplicate" in said)

    def test_failed_tests_are_named(self, gpu_check, monkeypatch):
        said = "FAILED tests/a.py::test_b - E\n1 failed, 12 passed, 3 skipped in 1.2s"
        monkeypatch.setattr(gpu_check, "run", lambda command, seconds: (1, said))
        found = gpu_check.tests(1.0, gpu_check.Config())
        expected = {"ok": False, "failed": 1, "passed": 12, "skipped": 3, "failed tests": ["tests/a.py::test_b"]}
        assert expected.items() <= found.items()

    def test_programs_that_take_too_long_are_ended(self, gpu_check):
        assert gpu_check.run(["-c", "import time; print('begun', flush=True); time.sleep(60)"], 1.0) == (124, "begun\n")
        assert gpu_check.run(["-c", "print(3); raise SystemExit(4)"], 60.0) == (4, "3\n")
