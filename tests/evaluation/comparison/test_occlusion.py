"""Occluders over photographs: what systems see, and what their codes are compared with."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.evaluation.comparison.occlusion import compare_occluded
from mofa3d.evaluation.estimates import measure
from mofa3d.evaluation.occlusion import OccludedFaces
from mofa3d.renderers import make_renderer


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(make_tiny_model(), Camera())


@pytest.fixture(scope="module")
def faces(decode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    return synthesize(SyntheticConfig(count=5), decode, make_renderer("cpu", antialias=False), folder)


def test_something_of_one_color_lies_over_the_photograph(faces):
    hidden = OccludedFaces(faces)
    assert len(hidden) == 5
    for i in range(5):
        item = hidden[i]
        torch.testing.assert_close(item["image"], faces[i]["image"])
        assert torch.equal(item["input"], hidden[i]["input"])
        changed = (item["input"] != item["image"]).any(dim=0)
        assert 50 < int(changed.sum()) < 0.3 * changed.numel()
        assert len(item["input"][:, changed].T.unique(dim=0)) == 1
    assert not torch.equal(hidden[0]["input"], hidden[1]["input"])
    assert not torch.equal(hidden[0]["input"], OccludedFaces(faces, seed=1)[0]["input"])


def test_codes_come_from_what_is_seen_and_are_measured_against_the_photograph(faces, decode):
    sizes, vertex, seen = decode.model.sizes, make_renderer("vertex"), []

    def estimate(batch):
        seen.append(batch["image"])
        code = SemanticCode.zeros(1, sizes)
        return code.replace(illumination=code.illumination + (batch["image"].mean() - 0.5))

    hidden = OccludedFaces(faces)
    clear = {"grey": measure(estimate, decode, vertex, faces, [1, 3])}
    seen.clear()
    rows, measured = compare_occluded({"grey": estimate, "other": estimate}, clear, decode, vertex, hidden, [1, 3])
    assert torch.equal(seen[-1][0], hidden[3]["input"])
    assert [row.system for row in rows] == ["grey"]
    assert rows[0].images == 2
    assert rows[0].values["clear_photometric"] == pytest.approx(float(clear["grey"].errors["photometric"].mean()))
    code = SemanticCode.from_vector(measured["grey"].codes[1:], sizes)
    expected = measure(lambda _: code, decode, vertex, faces, [3]).errors["photometric"]
    assert float(measured["grey"].errors["photometric"][1]) == pytest.approx(float(expected[0]))
    assert rows[0].values["photometric"] != pytest.approx(rows[0].values["clear_photometric"], abs=1e-6)
