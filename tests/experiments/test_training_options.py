"""The options of train_mofa.py: what lies over the preset, and one line about every mistake."""

from __future__ import annotations

import shutil

import pytest
import torch
import tyro
from PIL import Image
from programs import EXPERIMENTS
from training_program import config, run, train_mofa


@pytest.fixture
def failing(workplace, tmp_path):
    """Start a training that must fail before it trains, and leave no checkpoint."""

    def fail(message: str, **changes) -> None:
        with pytest.raises(ValueError, match=message):
            train_mofa.main(config(workplace, **{"out": tmp_path / "out", **changes}))
        assert not list(tmp_path.rglob("checkpoint.pt"))

    return fail


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"iterations": 100_000, "minutes": 10.0, "decay": True, "freeze_geometry": 150, "batch_size": 24}),
        ("--iterations 100000", {"iterations": 100_000, "minutes": 0.0}),
        ("--iterations=7 --minutes=3", {"iterations": 7, "minutes": 3.0}),
        ("--minutes 0 --bfloat16", {"minutes": 0.0, "bfloat16": True}),
        ("--start runs/a", {"freeze_geometry": 0}),
        ("--start runs/a --freeze-geometry 9 --checkpoint-every 0", {"freeze_geometry": 9, "checkpoint_every": 0}),
        ("--preset paper --step-in-backward", {"step_in_backward": True, "iterations": 200_000, "batch_size": 5}),
        (
            "--preset paper --learning_rate 0.2 --checkpoint-minutes 1",
            {"learning_rate": 0.2, "checkpoint_minutes": 1.0},
        ),
        ("--optimizer adadelta --depth-learning-rate 0", {"optimizer": "adadelta", "depth_learning_rate": 0.0}),
    ],
)
def test_options_lie_over_the_preset(options, expected):
    settings = train_mofa.training_config(tyro.cli(train_mofa.Config, args=options.split()))
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "landmark", "background_cost", "regularizer"),
    [
        ("", 1.0, 0.0, 1e-4),  # synthetic faces know their landmarks
        ("--no-landmarks", 0.0, 0.14, 3e-4),
        ("--data photos", 0.0, 0.14, 3e-4),
        ("--data photos --no-landmarks", 0.0, 0.14, 3e-4),
        ("--landmarks --data photos", 1.0, 0.0, 1e-4),
        ("--data photos --landmarks --background-cost 0.1 --regularizer 0.5", 1.0, 0.1, 0.5),
        ("--preset paper", 0.0, 0.0, 2.9e-5),
        ("--preset paper --landmarks", 1.0, 0.0, 2.9e-5),
        ("--data photos --preset paper", 0.0, 0.0, 2.9e-5),
    ],
)
def test_losses_that_are_on(options, landmark, background_cost, regularizer):
    loss = train_mofa.training_config(tyro.cli(train_mofa.Config, args=options.split())).loss
    assert (loss.landmark, loss.background_cost, loss.regularizer) == (landmark, background_cost, regularizer)


class TestTrainingMistakes:
    def test_landmarks_and_none(self, failing):
        failing("--landmarks and --no-landmarks cannot be combined", landmarks=True, no_landmarks=True)

    def test_missing_folder(self, failing, tmp_path):
        failing(r"there is no folder .*nowhere; give a folder of photographs", data=str(tmp_path / "nowhere"))

    def test_empty_folder(self, failing, tmp_path):
        (tmp_path / "empty").mkdir()
        failing("empty has nothing that can be used", data=str(tmp_path / "empty"))

    def test_folder_without_faces(self, failing, tmp_path):
        (tmp_path / "photos").mkdir()
        Image.new("RGB", (90, 90), "grey").save(tmp_path / "photos" / "a.png")
        failing(r"no usable face in any of the 1 photographs \(no face 1 times", data=str(tmp_path / "photos"))

    def test_folder_of_one_person(self, failing, portrait, tmp_path):
        (tmp_path / "photos").mkdir()
        shutil.copyfile(portrait, tmp_path / "photos" / "Grace_Hopper_0001.jpg")
        message = r"of 1 identities in .*photos, \d images would be trained on and \d reported on"
        failing(message, data=str(tmp_path / "photos"))

    def test_unknown_renderer(self, failing):
        failing("unknown renderer 'oil'; there are vertex, cpu, pytorch3d, nvdiffrast", renderer="oil")

    def test_unknown_encoder(self, failing):
        failing("unknown encoder 'vgg': choose one of alexnet, vgg_face, mobilenet_v2, resnet50", encoder="vgg")

    def test_encoder_weights_that_are_missing_or_of_another_network(self, failing, tmp_path):
        path = tmp_path / "weights.pth"
        failing(r"encoder weights .*weights\.pth do not exist", encoder_weights=str(path))
        torch.save({"conv.weight": torch.zeros(3)}, path)
        failing(r"weights\.pth are not weights of mobilenet_v2 .*: it lacks features", encoder_weights=str(path))

    def test_missing_face_model(self, failing, tmp_path):
        failing(r"nowhere\.safetensors is not a mofa3d model file", model_path=str(tmp_path / "nowhere.safetensors"))
        failing("unknown face model 'clay'", model="clay", model_path="")

    def test_nothing_to_resume(self, failing):
        failing(r"out contains no training; leave out --resume, or choose another --out", resume=True)

    def test_one_line_on_standard_error(self, workplace, tmp_path):
        code, errors, everything = run(
            EXPERIMENTS / "train_mofa.py", "--data", tmp_path / "nowhere", "--encoder-weights", "none",
            "--model-path", workplace / "tiny.safetensors", "--out", tmp_path / "out",
        )  # fmt: skip
        assert code == 2
        assert len(errors) == 1
        assert errors[0].startswith(f"error: there is no folder {tmp_path / 'nowhere'}; give a folder of photographs")
        assert "Traceback" not in everything
