"""Damaged checkpoints are named when they are opened, whatever field is damaged; no photograph gets the blame."""

from __future__ import annotations

import copy
import math
import zipfile
from pathlib import Path

import pytest
import torch

from mofa3d.encoders.checkpoint import (
    CHECKPOINT_NAME,
    Description,
    open_run,
    read_checkpoint,
    read_encoder,
    write_encoder,
)
from mofa3d.encoders.checkpoint_content import check_content, check_optimizer


@pytest.fixture(scope="module")
def content(tiny_run) -> dict:
    return torch.load(tiny_run / CHECKPOINT_NAME, weights_only=True)


def changed(content: dict, place: str, value: object) -> dict:
    """A copy in which one field is another; ``None`` removes it."""
    copied = copy.deepcopy(content)
    *outer, last = place.split("/")
    inner = copied
    for name in outer:
        inner = inner[int(name) if name.isdecimal() else name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return copied


SMALL = {
    "encoder": {"bias": torch.zeros(3), "steps": torch.tensor(2)},
    "description": {},
    "progress": {"iteration": 5, "seconds": 1},
}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("encoder", None, "it lacks one of encoder, description, progress"),
        ("encoder", [1, 2], "its encoder is a list"),
        ("encoder/bias", "text", "bias is a str, expected a tensor of real numbers"),
        ("encoder/bias", torch.full((3,), math.nan), "bias has values that are NaN, infinite"),
        ("encoder/bias", torch.full((3,), 1e30), r"bias has values that are NaN, infinite or beyond ±1e\+10"),
        ("encoder/bias", torch.zeros(3, dtype=torch.complex64), "bias is a Tensor, expected"),
        ("encoder/bias", torch.zeros(3).to_sparse(), "bias is a Tensor, expected"),
        ("encoder/bias", torch.zeros(1).expand(10**12), "bias has 4000000000000 bytes of which 4 are there"),
        ("description", "text", "its description is a str"),
        ("progress", [], "its progress is a list"),
        ("progress/iteration", "many", "iteration is 'many', expected a number"),
        ("progress/iteration", -1, "iteration is -1"),
        ("progress/iteration", True, "iteration is True, expected a number"),
        ("progress/seconds", math.nan, "seconds is nan"),
        ("progress/more", 1, "expected iteration and seconds"),
    ],
)
def test_damaged_parts_are_named(place, value, message):
    check_content(SMALL)
    with pytest.raises(ValueError, match=message):
        check_content(changed(SMALL, place, value))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model", 3, "model is 3, expected text"),
        ("image_size", "240", "image_size is '240', expected a number"),
        ("image_size", 10**9, r"image_size is 1e\+09; give a number from 1 to 4096"),
        ("image_size", True, "image_size is True, expected a number"),
        ("input_size", -5, "input_size is -5"),
        ("scales", 5, "description does not fit this version"),
        ("scales/shape", "1", "shape is '1', expected a number"),
        ("scales/shape", math.nan, "shape is nan"),
    ],
)
def test_damaged_descriptions_are_named(unchecked_types, place, value, message):
    whole = Description().to_dict()
    assert Description.from_dict(whole) == Description()
    with pytest.raises(ValueError, match=message):
        Description.from_dict(changed(whole, place, value))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("encoder/head.bias", torch.full((47,), math.nan), "head.bias has values that are NaN, infinite"),
        ("encoder/head.bias", torch.zeros(3), "do not fit its own description"),
        ("encoder/scales", torch.full((48,), 1e9), "predicts values for a plain gray image"),
        ("description/encoder", "clay", "unknown encoder 'clay'"),
        ("description/model_path", "/nowhere.safetensors", "there is no such file"),
    ],
)
def test_opening_names_the_damaged_file(content, tmp_path, place, value, message):
    torch.save(changed(content, place, value), tmp_path / CHECKPOINT_NAME)
    with pytest.raises(ValueError, match=message) as raised:
        open_run(tmp_path)
    assert str(tmp_path / CHECKPOINT_NAME) in str(raised.value)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("state", [], "the state of its optimiser is missing, or of another kind"),
        ("param_groups", {}, "its optimiser has no groups of parameters"),
        ("param_groups/0/lr", "fast", "its optimiser has the lr 'fast', expected one like 0.1"),
        ("param_groups/0/lr", math.nan, "its optimiser has the lr nan"),
        ("param_groups/0/params", [0], "its optimiser has the params"),
        ("param_groups/0/rho", None, "it was trained with another optimiser"),
        ("state", {0: 5}, "its optimiser has a int for parameter 0"),
        ("state", {7: {}}, "its optimiser has a dict for parameter 7"),
        ("state", {0: {"acc_delta": torch.zeros(5)}}, r"parameter 0 has the shape \(5,\), expected \(3, 2\)"),
        ("state", {0: {"acc_delta": torch.full((3, 2), math.inf)}}, "parameter 0 has values that are NaN, infinite"),
    ],
)
def test_damaged_states_of_optimisers_are_named(place, value, message):
    layer = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adadelta(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    check_optimizer(state, optimizer)
    with pytest.raises(ValueError, match=message):
        check_optimizer(changed(state, place, value), optimizer)


class TestArchives:
    def test_every_flipped_byte_is_found(self, tiny_run, tmp_path):
        raw = (tiny_run / CHECKPOINT_NAME).read_bytes()
        for place in range(len(raw) // 7, len(raw) - 70_000, len(raw) // 5):  # the end holds names and offsets
            (tmp_path / "a.pt").write_bytes(raw[:place] + bytes([raw[place] ^ 64]) + raw[place + 1 :])
            with pytest.raises(ValueError, match=r"a\.pt is not a readable checkpoint"):
                read_checkpoint(tmp_path / "a.pt")

    def repacked(self, run: Path, path: Path, pickle: bytes | None = None, **options) -> Path:
        with zipfile.ZipFile(run / CHECKPOINT_NAME) as old, zipfile.ZipFile(path, "w", **options) as new:
            for info in old.infolist():
                data = old.read(info)
                new.writestr(info.filename, pickle if pickle and info.filename.endswith("data.pkl") else data)
        return path

    def test_compressed_parts_could_be_of_any_size(self, tiny_run, tmp_path):
        path = self.repacked(tiny_run, tmp_path / "a.pt", compression=zipfile.ZIP_DEFLATED)
        with pytest.raises(ValueError, match=r"not a readable checkpoint \(its parts are compressed"):
            read_checkpoint(path)

    @pytest.mark.parametrize(
        ("pickle", "message"),
        [
            (b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "it refers to __builtin__.bytearray"),
            (b"\x80\x02}" + b")" + b"\x85" * 1000 + b"K\x01s.", "it holds more than 200 tuples in one another"),
            (b"\x80\x02}r\xff\xff\xff\x7f.", "it keeps something at place 2147483647"),
        ],
    )
    def test_pickles_that_are_traps(self, tiny_run, tmp_path, pickle, message):
        path = self.repacked(tiny_run, tmp_path / "a.pt", pickle)
        with pytest.raises(ValueError, match=rf"a\.pt is not a readable checkpoint \({message}"):
            read_checkpoint(path)


class TestEncoderFiles:
    def test_every_flipped_bit_of_a_weight_is_found(self, content, tmp_path):
        path = tmp_path / "a.safetensors"
        small = {**content, "encoder": {"a": torch.arange(40.0), "b": torch.arange(3)}}
        write_encoder(path, small)
        raw = path.read_bytes()
        for place in range(len(raw) - 104, len(raw)):  # 40 numbers in half precision and 3 of 8 bytes
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(ValueError, match="its weights differ from those that were written"):
                read_encoder(path)

    def test_files_of_older_versions_are_read(self, content, tmp_path):
        path = tmp_path / "a.safetensors"
        write_encoder(path, content)
        raw = path.read_bytes()
        start = raw.index(b', \\"sha256\\"')
        end = raw.index(b"}", start)
        header = int.from_bytes(raw[:8], "little") - (end - start)
        older = header.to_bytes(8, "little") + raw[8:start] + raw[end:]
        path.write_bytes(older)
        assert read_encoder(path)["progress"] == content["progress"]
