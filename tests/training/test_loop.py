"""The loop: it learns, continues where it stopped, and stops when the loss breaks."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections.abc import Iterator

import pytest
import torch
from loop_training import SIZE, SIZES, assert_same_weights, config, make_batch, make_encoder, run, stream_of
from trained import lines

from mofa3d import losses
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import read_checkpoint
from mofa3d.environment import instruction_sets
from mofa3d.errors import SlowerPathWarning
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.objective import LossWeights
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import SemanticCode
from mofa3d.training import loop
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer, train
from mofa3d.training.progress import DivergenceError, Progress


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


class TestTrain:
    def test_loss_falls_on_a_repeated_batch(self, decode, tmp_path):
        batch = make_batch(decode)

        def same(start: int) -> Iterator[loop.Batch]:
            while True:
                yield batch

        changes = {"iterations": 60, "loss": LossWeights(landmark=1.0)}
        train(make_encoder(), decode, VertexRenderer(), same, config(**changes), tmp_path, {})
        log = lines(tmp_path)
        assert [line["iteration"] for line in log] == list(range(1, 61))
        assert log[-1]["loss"] < 0.5 * log[0]["loss"]
        assert log[-1]["photometric"] < 0.9 * log[0]["photometric"]
        assert log[-1]["landmark_error"] < 0.6 * log[0]["landmark_error"]

    def test_fused_loss_trains_as_decoder_and_renderer_do(self, tiny_model, tmp_path):
        plain = Decoder(tiny_model, Camera(SIZE), fused=False)
        fused = FusedVertexLoss(tiny_model, plain.camera, area_weights=True)
        render, weights = VertexRenderer(area_weights=True), LossWeights(landmark=1.0, background_cost=0.1)
        settings, encoders = config(iterations=4, loss=weights), []
        for name, option in {"plain": None, "fused": fused}.items():
            (tmp_path / name).mkdir()
            encoders.append(make_encoder())
            train(encoders[-1], plain, render, stream_of(plain), settings, tmp_path / name, {}, fused=option)
        for ours, theirs in zip(lines(tmp_path / "fused"), lines(tmp_path / "plain"), strict=True):
            del ours["seconds"], theirs["seconds"]
            assert ours == pytest.approx(theirs, rel=1e-3)
        for ours, theirs in zip(encoders[1].parameters(), encoders[0].parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)

    def test_the_encoder_sees_the_input_and_losses_the_image(self, decode, tmp_path):
        batch, encoder, seen = make_batch(decode), make_encoder(), []
        encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))

        def batches(_):
            while True:
                yield {**batch, "input": 1 - batch["image"]}

        out = tmp_path / "out"
        out.mkdir()
        train(encoder, decode, VertexRenderer(), batches, config(iterations=1), out, {})
        assert torch.equal(seen[0], 1 - batch["image"])
        [line] = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        scene = decode(SemanticCode.zeros(4, SIZES))
        expected = losses.photometric(VertexRenderer()(scene), batch["image"]).mean()
        assert line["photometric"] == pytest.approx(float(expected), rel=1e-5)

    def test_bfloat16_where_nothing_multiplies_it_is_float32(self, decode, tmp_path, monkeypatch):
        monkeypatch.setattr(instruction_sets, "multiplies_bfloat16", lambda: False)
        with pytest.warns(SlowerPathWarning, match="no native bfloat16 .*; the encoder is trained in float32"):
            encoder, _ = run(decode, tmp_path / "a", iterations=2, bfloat16=True)
        other, _ = run(decode, tmp_path / "b", iterations=2)
        assert torch.equal(encoder.backbone[2].weight, other.backbone[2].weight)

    def test_bfloat16_leaves_weights_and_codes_in_float32(self, decode, tmp_path, monkeypatch):
        monkeypatch.setattr(instruction_sets, "multiplies_bfloat16", lambda: True)  # a few numbers are fast anyway
        encoder, _ = run(decode, tmp_path / "a", iterations=3, bfloat16=True)
        other, _ = run(decode, tmp_path / "b", iterations=3)
        assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
        assert lines(tmp_path / "a")[0]["loss"] == lines(tmp_path / "b")[0]["loss"]  # zero outputs
        assert lines(tmp_path / "a")[2]["loss"] == pytest.approx(lines(tmp_path / "b")[2]["loss"], rel=0.02)
        assert not torch.equal(encoder.backbone[2].weight, other.backbone[2].weight)

    def test_logged_loss_is_the_weighted_sum_of_the_mean_terms(self, decode, tmp_path):
        run(decode, tmp_path, iterations=3, loss=LossWeights(2.0, 0.5, 3.0))
        for line in lines(tmp_path):
            expected = 2 * line["photometric"] + 0.5 * line["regularizer"] + 3 * line["landmark"]
            assert line["loss"] == pytest.approx(expected, rel=1e-5)
        # Zero outputs: the first step sees the average face, whose regulariser is 0.
        assert lines(tmp_path)[0]["regularizer"] == 0
        assert lines(tmp_path)[2]["regularizer"] > 0

    def test_resumed_training_equals_an_uninterrupted_one(self, decode, tmp_path):
        whole, _ = run(decode, tmp_path / "whole", iterations=7, loss=LossWeights(landmark=1.0))
        run(decode, tmp_path / "parts", iterations=4, loss=LossWeights(landmark=1.0))
        # Another start, so that everything has to come from the checkpoint.
        changes = {"iterations": 7, "loss": LossWeights(landmark=1.0)}
        resumed, progress = run(decode, tmp_path / "parts", make_encoder(seed=9), resume=True, **changes)
        assert progress.iteration == 7
        assert_same_weights(resumed.state_dict(), whole.state_dict())
        values = [[line["loss"] for line in lines(tmp_path / name)] for name in ("whole", "parts")]
        assert values[0] == values[1]
        assert len(values[0]) == 7

    def test_same_seed_gives_the_same_weights(self, decode, tmp_path):
        first, _ = run(decode, tmp_path / "a", iterations=3, optimizer="adadelta", learning_rate=0.1)
        second, _ = run(decode, tmp_path / "b", iterations=3, optimizer="adadelta", learning_rate=0.1)
        assert_same_weights(first.state_dict(), second.state_dict())
        assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), make_encoder().parameters(), strict=True))

    def test_nan_stops_it_and_keeps_the_last_good_checkpoint(self, decode, tmp_path):
        with pytest.raises(DivergenceError, match=r"not finite at iteration 5 .*checkpoint\.pt\. Lower the"):
            run(decode, tmp_path / "broken", spoiled=5, iterations=9, checkpoint_every=4)
        good, _ = run(decode, tmp_path / "good", iterations=4)
        content = read_checkpoint(tmp_path / "broken" / "checkpoint.pt")
        assert content["progress"]["iteration"] == 4
        assert_same_weights(content["encoder"], good.state_dict())
        assert len(lines(tmp_path / "broken")) == 5

    def test_weights_that_are_not_finite_are_never_saved(self, decode, tmp_path):
        encoder, _ = run(decode, tmp_path, iterations=2)
        with torch.no_grad():
            encoder.head.bias[3] = float("inf")
        optimizer = make_optimizer(encoder, config())
        with pytest.raises(DivergenceError, match=r"head\.bias is not finite after iteration 3.*Lower the learning"):
            save_checkpoint(tmp_path / "checkpoint.pt", encoder, optimizer, Progress(3), {})
        assert read_checkpoint(tmp_path / "checkpoint.pt")["progress"]["iteration"] == 2

    def test_resuming_forgets_what_came_after_the_checkpoint(self, decode, tmp_path):
        run(decode, tmp_path, iterations=3)
        with open(tmp_path / "metrics.jsonl", "a") as log:
            log.write(json.dumps({"iteration": 4, "seconds": 9.0, "loss": 99.0}) + '\n{"iteration": 5, "se')
        run(decode, tmp_path, resume=True, iterations=5)
        assert [line["iteration"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5]
        assert all(line["loss"] < 99 for line in lines(tmp_path))

    def test_geometry_can_be_frozen_at_the_start(self, decode, tmp_path):
        frozen, _ = run(decode, tmp_path / "a", iterations=2, freeze_geometry=2)
        where = SIZES.slices
        rows = frozen.head.weight.detach().abs().sum(dim=1)
        geometry = [*range(where["shape"].start, where["expression"].stop), *range(15, 18), 18, 19]
        appearance = [*range(where["reflectance"].start, where["reflectance"].stop), *range(20, 47)]
        assert sorted(geometry + appearance) == list(range(47))
        assert float(rows[geometry].max()) == 0
        assert float(frozen.depth_head.weight.detach().abs().max()) == 0
        assert float(rows[appearance].min()) > 0
        free, _ = run(decode, tmp_path / "b", iterations=3, freeze_geometry=2)
        assert float(free.head.weight.detach().abs().sum(dim=1)[geometry].min()) > 0

    def test_decay_lowers_both_rates(self, decode, tmp_path):
        run(decode, tmp_path, iterations=10, decay=True)
        content = read_checkpoint(tmp_path / "checkpoint.pt")
        rates = [group["lr"] for group in content["optimizer"]["param_groups"]]
        factor = loop.rate_factor(0.9)
        assert factor < 0.1
        assert rates == [0.01 * factor, 0.001 * factor]

    def test_time_limit_ends_it(self, decode, tmp_path):
        _, progress = run(decode, tmp_path, iterations=10**6, minutes=0.005)
        assert 1 <= progress.iteration < 10**5
        assert 0.3 <= progress.seconds < 10

    def test_unknown_values_are_left_out_of_the_log(self, decode, tmp_path):
        def without_landmarks(start: int) -> Iterator[loop.Batch]:
            batch = make_batch(decode)
            yield {**batch, "confidence": torch.zeros(4, 68)}

        train(make_encoder(), decode, VertexRenderer(), without_landmarks, config(iterations=1), tmp_path, {})
        (line,) = lines(tmp_path)
        assert set(line) == {"iteration", "seconds", "photometric", "regularizer", "photometric_error", "loss"}

    @pytest.mark.parametrize(
        ("description", "changes", "message"),
        [
            ({"note": "other"}, {}, r"was trained with note 'tiny', not 'other'; resume with"),
            ({"note": "tiny"}, {"optimizer": "adadelta"}, "with Adadelta: it was trained with another optimiser"),
        ],
    )
    def test_another_training_is_not_resumed(self, decode, tmp_path, description, changes, message):
        run(decode, tmp_path, iterations=1)
        encoder, settings = make_encoder(), config(iterations=2, **changes)
        with pytest.raises(ValueError, match=message):
            train(encoder, decode, VertexRenderer(), stream_of(decode), settings, tmp_path, description, resume=True)
        assert_same_weights(encoder.state_dict(), make_encoder().state_dict())

    def test_nothing_to_resume_from(self, decode, tmp_path):
        with pytest.raises(ValueError, match=r"there is no checkpoint at .*checkpoint\.pt; give the folder"):
            run(decode, tmp_path, resume=True, iterations=1)


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.05), (0.001, 0.05), (0.01, 0.5), (0.02, 1.0), (0.51, 0.525), (1.0, 0.05), (1.5, 0.05)],
)
def test_rate_factor_warms_up_and_falls_along_half_a_cosine(progress, factor):
    assert loop.rate_factor(progress) == pytest.approx(factor)


def test_progress_is_the_farther_of_steps_and_time():
    assert Progress(30, 12.0).fraction(TrainingConfig(iterations=100)) == 0.3
    assert Progress(30, 12.0).fraction(TrainingConfig(iterations=100, minutes=0.5)) == 0.4
    assert Progress(30, 12.0).fraction(TrainingConfig(iterations=100, minutes=1.0)) == 0.3


def test_optimisers_have_the_papers_rates_and_a_group_for_t_z():
    encoder = make_encoder()
    paper = make_optimizer(encoder, TrainingConfig())
    assert isinstance(paper, torch.optim.Adadelta)
    assert [group["lr"] for group in paper.param_groups] == [0.1, 0.0005]
    assert {id(p) for p in paper.param_groups[1]["params"]} == {id(p) for p in encoder.depth_head.parameters()}
    assert isinstance(make_optimizer(encoder, config()), torch.optim.Adam)


def test_defaults_are_the_papers():
    defaults = TrainingConfig()
    assert (defaults.iterations, defaults.batch_size, defaults.optimizer) == (200_000, 5, "adadelta")
    assert dataclasses.astuple(defaults.loss) == (1.92, 2.9e-5, *[0.0] * 10)


@pytest.mark.parametrize("changes", [{"iterations": 0}, {"batch_size": 0}])
def test_configuration_without_steps_or_photographs_is_refused(changes):
    with pytest.raises(ValueError, match="iterations and batch_size must be at least 1, got"):
        TrainingConfig(**changes)


class TestCheckpointFile:
    def test_holds_the_description_and_replaces_whole_files(self, decode, tmp_path):
        run(decode, tmp_path, iterations=2, checkpoint_every=1)
        content = read_checkpoint(tmp_path / "checkpoint.pt")
        assert content["description"] == {"note": "tiny"}
        assert content["progress"]["iteration"] == 2
        assert math.isfinite(content["progress"]["seconds"])
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    def test_pickles_are_not_executed(self, tmp_path):
        marker = tmp_path / "executed"

        class Trap:
            def __reduce__(self):
                return open, (str(marker), "w")

        torch.save({"encoder": Trap(), "description": {}, "progress": {}}, tmp_path / "trap.pt")
        (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap(), protocol=2))
        for name in ("trap.pt", "trap.pkl"):
            with pytest.raises(ValueError, match=f"{name} is not a readable checkpoint"):
                read_checkpoint(tmp_path / name)
        assert not marker.exists()

    def test_damaged_and_foreign_files_are_refused(self, decode, tmp_path):
        run(decode, tmp_path, iterations=1)
        content = (tmp_path / "checkpoint.pt").read_bytes()
        (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
        (tmp_path / "empty.pt").write_bytes(b"")
        for name in ("cut.pt", "empty.pt"):
            with pytest.raises(ValueError, match=f"{name} is not a readable checkpoint"):
                read_checkpoint(tmp_path / name)
        torch.save({"encoder": {}}, tmp_path / "foreign.pt")
        torch.save([1, 2], tmp_path / "list.pt")
        for name in ("foreign.pt", "list.pt"):
            with pytest.raises(ValueError, match=f"{name} is not a checkpoint of mofa3d"):
                read_checkpoint(tmp_path / name)
        with pytest.raises(ValueError, match=r"there is no checkpoint at .*missing\.pt"):
            read_checkpoint(tmp_path / "missing.pt")
