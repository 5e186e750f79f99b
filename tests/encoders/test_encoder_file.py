"""What is written is read again, to half precision, and damaged files are named."""

from __future__ import annotations

import json

import pytest
import torch

from mofa3d.encoders.checkpoint import Description, open_run, read_encoder, write_encoder
from mofa3d.encoders.weights import SHIPPED


@pytest.fixture
def content() -> dict:
    weights = {"a.weight": torch.tensor([[1.0, -2.5], [1e-3, 3.14159]]), "a.steps": torch.tensor(7)}
    return {"encoder": weights, "description": {"model": "makehuman"}, "progress": {"iteration": 3, "seconds": 1.5}}


def test_round_trip(content, tmp_path):
    path = tmp_path / "new" / "encoder.safetensors"
    write_encoder(path, content)
    found = read_encoder(path)
    assert (found["description"], found["progress"]) == (content["description"], content["progress"])
    assert found["encoder"]["a.steps"] == 7
    assert found["encoder"]["a.weight"].dtype == torch.float32
    torch.testing.assert_close(found["encoder"]["a.weight"], content["encoder"]["a.weight"], rtol=5e-4, atol=0)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_what_half_precision_cannot_hold_is_refused(content, tmp_path, value):
    content["encoder"]["a.weight"][0, 0] = value
    with pytest.raises(ValueError, match=r"a\.weight"):
        write_encoder(tmp_path / "encoder.safetensors", content)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_damaged_files_are_named(content, tmp_path, damage):
    path = tmp_path / "encoder.safetensors"
    write_encoder(path, content)
    path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    with pytest.raises(ValueError, match=r"encoder\.safetensors is not a readable encoder file"):
        read_encoder(path)


def test_another_safetensors_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors", metadata={"mofa3d": json.dumps({"name": "m"})})
    with pytest.raises(ValueError, match="description"):
        read_encoder(tmp_path / "x.safetensors")


def test_what_comes_with_the_package_is_small_and_fits_the_default_model():
    assert SHIPPED.stat().st_size < 12e6
    about = Description.from_dict(read_encoder(SHIPPED)["description"])
    assert (about.model, about.model_path, about.encoder) == ("makehuman", "", "mobilenet_v2")
    encoder, decode = open_run()
    assert decode.model.fingerprint() == about.fingerprint
    assert not encoder.training
