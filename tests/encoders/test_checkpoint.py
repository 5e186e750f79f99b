"""A training run can be opened again, and whatever does not belong to it is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description, open_run, read_checkpoint, start_from
from mofa3d.encoders.network import Encoder
from mofa3d.morphable_model import MorphableModel, save_model
from mofa3d.semantic_code import OutputScales
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress

SCALES = OutputScales(rotation=0.3, translation_z=7.0)


@pytest.fixture
def about(tmp_path, tiny_model) -> Description:
    """The description of a small network for the tiny model, which lies in a file."""
    save_model(tiny_model, tmp_path / "tiny.safetensors")
    return Description(
        model_path=str(tmp_path / "tiny.safetensors"),
        fingerprint=tiny_model.fingerprint(),
        input_size=32,
        scales=SCALES,
        image_size=48,
    )


def save_run(run: Path, about: Description, model: MorphableModel, **changes) -> Encoder:
    """Save an encoder whose last layer is not zero any more; `changes` replace parts of the checkpoint."""
    torch.manual_seed(0)
    encoder = about.make_encoder(model)
    torch.nn.init.normal_(encoder.head.weight, std=0.01)
    torch.nn.init.normal_(encoder.depth_head.bias)
    run.mkdir(parents=True, exist_ok=True)
    optimizer = make_optimizer(encoder, TrainingConfig())
    save_checkpoint(run / CHECKPOINT_NAME, encoder, optimizer, Progress(5, 1.0), about.to_dict())
    if changes:
        torch.save({**read_checkpoint(run / CHECKPOINT_NAME), **changes}, run / CHECKPOINT_NAME)
    return encoder.eval()


class TestDescription:
    @pytest.mark.parametrize(
        "description",
        [Description(), Description("bfm2009", "a/b", "0f", "alexnet", 112, OutputScales(rotation=0.1), 48)],
        ids=["default", "own"],
    )
    def test_round_trip_through_json(self, description):
        again = Description.from_dict(json.loads(json.dumps(description.to_dict())))
        assert again == description
        assert isinstance(again.scales, OutputScales)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [({"depth": 3}, "depth"), ({"scales": {"roll": 1.0}}, "roll"), ({"scales": None}, "")],
    )
    def test_unknown_fields(self, changes, named):
        values = {**Description().to_dict(), **changes}
        message = rf"description does not fit this version of mofa3d \(.*{named}"
        with pytest.raises(ValueError, match=message):
            Description.from_dict(values)

    def test_missing_fields(self):
        with pytest.raises(ValueError, match=r"does not fit this version of mofa3d \('scales'\)"):
            Description.from_dict({"note": "tiny"})

    def test_model_is_read_from_its_file(self, about, tiny_model):
        assert about.load_model().fingerprint() == tiny_model.fingerprint()
        assert replace(about, fingerprint="").load_model().fingerprint() == tiny_model.fingerprint()

    def test_another_model_under_the_same_name(self, about):
        other = make_tiny_model()
        other.mean_shape[3, 1] += 1.0
        save_model(other, about.model_path)
        with pytest.raises(ValueError, match=r"trained for another version of the face model 'makehuman'"):
            about.load_model()

    def test_missing_or_unknown_model(self, about, tmp_path):
        with pytest.raises(ValueError, match=r"nowhere\.safetensors is not a mofa3d model file"):
            replace(about, model_path=str(tmp_path / "nowhere.safetensors")).load_model()
        with pytest.raises(ValueError, match="unknown face model 'clay'"):
            Description(model="clay").load_model()

    def test_encoder_is_built_as_described(self, about, tiny_model):
        encoder = about.make_encoder(tiny_model)
        assert encoder.input_size == 32
        assert torch.equal(encoder.scales, SCALES.vector(tiny_model.sizes))
        assert encoder.eval()(torch.rand(1, 3, 48, 48)).shape == (1, tiny_model.sizes.total)


class TestOpenRun:
    def test_encoder_and_decoder_come_back(self, about, tiny_model, tmp_path):
        saved = save_run(tmp_path / "run", about, tiny_model)
        image = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = saved(image)
            assert float(expected.std()) > 0.01
            # From the folder, or from the file.
            for path in (tmp_path / "run", tmp_path / "run" / CHECKPOINT_NAME):
                encoder, decode = open_run(path)
                assert not encoder.training
                assert torch.equal(encoder(image), expected)
                assert decode.model.fingerprint() == tiny_model.fingerprint()
                assert decode.camera.image_size == 48

    def test_no_run(self, tmp_path):
        for path in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(ValueError, match=r"there is no checkpoint at .*; give the folder of a training run"):
                open_run(path)

    def test_damaged_file(self, about, tiny_model, tmp_path):
        save_run(tmp_path, about, tiny_model)
        content = (tmp_path / CHECKPOINT_NAME).read_bytes()
        (tmp_path / CHECKPOINT_NAME).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=r"checkpoint\.pt is not a readable checkpoint"):
            open_run(tmp_path)

    def test_description_of_another_version(self, about, tiny_model, tmp_path):
        save_run(tmp_path, about, tiny_model, description={**about.to_dict(), "lens": "wide"})
        with pytest.raises(ValueError, match=r"does not fit this version of mofa3d \(.*'lens'\)"):
            open_run(tmp_path)

    def test_weights_of_another_network(self, about, tiny_model, tmp_path):
        save_run(tmp_path, about, tiny_model, description=replace(about, encoder="resnet50").to_dict())
        with pytest.raises(ValueError, match=r"the weights in .*checkpoint\.pt do not fit its own description"):
            open_run(tmp_path)

    def test_model_of_other_numbers(self, about, tiny_model, tmp_path):
        save_run(tmp_path, replace(about, fingerprint="0123456789abcdef"), tiny_model)
        with pytest.raises(ValueError, match="trained for another version of the face model"):
            open_run(tmp_path)


class TestStartFrom:
    def test_weights_are_those_of_the_other_training_even_on_another_model(self, about, tiny_model, tmp_path):
        trained = save_run(tmp_path / "first", about, tiny_model)
        encoder = about.make_encoder(tiny_model)
        assert not encoder.head.weight.any()
        start_from(encoder, replace(about, fingerprint="another"), tmp_path / "first")
        for name, value in trained.state_dict().items():
            assert torch.equal(encoder.state_dict()[name], value), name

    @pytest.mark.parametrize(
        "changes", [{"input_size": 48}, {"scales": OutputScales(rotation=0.1)}, {"image_size": 64}]
    )
    def test_another_network_or_code_is_refused(self, about, tiny_model, tmp_path, changes):
        save_run(tmp_path / "first", about, tiny_model)
        [name] = changes
        with pytest.raises(ValueError, match=rf"was trained with {name} .*; begin with the settings"):
            start_from(about.make_encoder(tiny_model), replace(about, **changes), tmp_path / "first")
