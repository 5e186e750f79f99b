"""Several processes take the step that one takes for the whole batch, and end together."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import together
import torch
from parallel_steps import CASES, EVERY_CASE

from mofa3d.environment.processes import ALONE, Processes, join, means
from mofa3d.errors import InputError

COUNTS = (1, 2, 4)
forked = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the processes are forked")


def assert_near(found: dict, expected: dict, tolerance: float) -> None:
    """Each tensor differs by so much of its size at most."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        off = float((found[name].double() - value.double()).norm())
        assert off <= tolerance * float(value.double().norm()) + 1e-12, name


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> dict[int, dict]:
    return together.run("parallel_steps.few", tmp_path_factory.mktemp("few") / "out", *COUNTS)


@forked
class TestSteps:
    @pytest.mark.parametrize("count", COUNTS[1:])
    @pytest.mark.parametrize("case", CASES)
    def test_gradients_weights_and_statistics_are_those_of_one_process(self, few, count, case):
        assert_near(few[count]["steps"][case], few[1]["steps"][case], 1e-5)

    @pytest.mark.slow
    def test_so_they_are_for_all_renderers_optimizers_and_losses(self, tmp_path):
        found = together.run("parallel_steps.every", tmp_path / "out", *COUNTS)
        for case in EVERY_CASE:
            for count in COUNTS[1:]:
                # Rounded to bfloat16, sums depend on their order.
                tolerance = 1e-2 if case == "bfloat16" else 1e-5
                assert_near(found[count]["steps"][case], found[1]["steps"][case], tolerance)


@forked
class TestEnds:
    def test_data_that_fail_in_one_process_end_all_and_no_step_is_lost(self, few):
        said = "LostProcessError with 3 saved: process 1 of 2 has failed; its own message says why"
        assert few[2]["ends"]["fails"] == said

    def test_a_loss_that_is_not_finite_in_one_process_ends_all(self, few):
        said = few[2]["ends"]["diverges"]
        assert said.startswith("DivergenceError with 2 saved: the loss is not finite at iteration 3 ({'loss': nan})")

    def test_a_process_that_dies_ends_the_others(self, few):
        said = few[2]["ends"]["dies"]
        assert said.startswith("LostProcessError with 3 saved: another process of this training has ended")
        assert said.endswith("the same command with --resume goes on from the last checkpoint")


@forked
@pytest.mark.slow
def test_200_iterations_stay_nearer_than_another_seed_would(tmp_path, capsys):
    found = together.run("parallel_training.learn", tmp_path / "out", 1, 2)
    alone, two = found[1]["losses"], found[2]["losses"]
    seeds = torch.tensor([alone[seed] for seed in sorted(alone)])
    spread, off = float(seeds.std()), abs(two[0] - alone[0])
    with capsys.disabled():
        sys.stdout.write(f"\nloss after 200 iterations: 1 × 24 {alone}, spread {spread:.5f}; 2 × 12 {two}\n")
    assert off < 0.1 * spread
    assert found[1]["first"] > 1.5 * alone[0]  # it has learned something


@forked
@pytest.mark.slow
def test_memory_does_not_grow_over_2000_steps(tmp_path, capsys):
    sizes = together.run("parallel_training.last", tmp_path / "out", 2)[2]["sizes"]
    with capsys.disabled():
        sys.stdout.write(f"\nmemory of each process in MB, by iteration: {sizes}\n")
    for rank in range(2):
        assert sizes[2000][rank] - sizes[500][rank] < 2


class TestShares:
    def test_rows_are_consecutive_and_equally_many(self):
        assert [Processes(rank, 3).rows(6) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 6)]

    def test_a_batch_that_cannot_be_divided_is_refused(self):
        with pytest.raises(InputError, match=r"a batch of 5 cannot be divided among 2 processes; .* a multiple of 2"):
            Processes(0, 2).rows(5)

    def test_without_torchrun_a_process_is_alone(self, monkeypatch):
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
            monkeypatch.delenv(name, raising=False)
        assert join("cpu", 5) == ALONE
        monkeypatch.setenv("WORLD_SIZE", "4")  # as some schedulers set it
        assert join("cpu", 5) == ALONE
        with pytest.raises(InputError, match="--device nowhere cannot be used"):
            join("nowhere", 5)

    def test_one_card_for_all_processes_is_refused(self, monkeypatch):
        about = {"RANK": 1, "LOCAL_RANK": 1, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}
        for name, value in about.items():
            monkeypatch.setenv(name, str(value))
        with pytest.raises(InputError, match="--device cuda:0 is one card, but there are 2 processes"):
            join("cuda:0", 4)
        with pytest.raises(InputError, match="a batch of 5 cannot be divided"):
            join("cpu", 5)

    def test_what_is_done_alone_needs_nobody(self):
        assert ALONE.gather(1.0, 2.0) == [[1.0, 2.0]]
        assert (ALONE.hand_out("a"), ALONE.collect("a")) == ("a", ["a"])
        with pytest.raises(OSError, match="own"), ALONE.failing_together():
            raise OSError("own")

    def test_means_leave_nan_out_or_not(self):
        values = {"a": torch.tensor([1.0, float("nan"), 3.0])}
        assert means(values) == {"a": 2.0}
        assert str(means(values, with_nan=True)) == "{'a': nan}"


def test_programs_start_in_the_same_way():
    """Every training program joins the others, shares their folder, and leaves the report to the first."""
    programs = sorted(Path(__file__).parents[2].glob("experiments/train_*.py"))
    assert len(programs) == 5
    for path in programs:
        text = path.read_text(encoding="utf-8")
        for part in ("join(", "claim_folder(config.out, config.resume", "if not processes.leads:\n            return"):
            assert part in text, (path.name, part)
