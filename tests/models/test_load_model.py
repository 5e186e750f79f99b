"""Face models by name."""

from __future__ import annotations

import pytest
from tiny_model import make_tiny_model

from mofa3d.models import MODEL_NAMES, load_model
from mofa3d.morphable_model import save_model

FILES = {
    "bfm2009": "01_MorphableModel.mat",
    "bfm2017": "model2017-1_face12_nomouth.h5",
    "bfm2019": "model2019_face12.h5",
    "deep3d": "BFM_model_front.mat",
    "flame": "generic_model.pkl",
    "ict": "generic_neutral_mesh.obj",
    "eos": "sfm_shape_3448.bin",
}


def test_every_source_has_a_name():
    assert set(MODEL_NAMES) == {"makehuman", *FILES}


@pytest.mark.parametrize(("name", "file"), FILES.items())
def test_without_a_path_file_and_place_are_named(name, file):
    with pytest.raises(ValueError, match=rf"needs the file {file}: get it from https://.* and give its path="):
        load_model(name)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_our_own_files_are_read_whatever_the_name(name, tmp_path):
    model = make_tiny_model()
    save_model(model, tmp_path / "converted.safetensors")
    assert load_model(name, path=tmp_path / "converted.safetensors").fingerprint() == model.fingerprint()


def test_unknown_names_are_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"unknown face model 'bfm': choose one of makehuman, bfm2009, .*, eos, or"):
        load_model("bfm", path=tmp_path / "01_MorphableModel.mat")
