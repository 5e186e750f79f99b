"""The comparison of renderers as its users run it, on a tiny face."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from programs import load
from tiny_model import make_tiny_model

from mofa3d.morphable_model import save_model

compare = load("compare_renderers")
SIZE = 64


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(make_tiny_model(24), path)
    return str(path)


@pytest.fixture(scope="module")
def compared(model_path, tmp_path_factory) -> dict:
    """Folder and figures of one comparison of everything that works on a CPU."""
    out = tmp_path_factory.mktemp("renderers") / "out"
    compare.main(compare.Config(out=out, image_size=SIZE, model_path=model_path, differences=True))
    return {"out": out, **json.loads((out / "comparison.json").read_text())}


def test_images_of_the_same_smoothing_are_the_same(compared):
    images = {label: figures["image"] for label, figures in compared["figures"].items() if "image" in figures}
    assert images["cpu"]["mean"] < 1
    assert images["cpu, hard"]["mean"] < 0.01
    assert images["cpu, hard"]["silhouette overlap"] > 0.999
    assert images["pytorch3d"] == {"mean": 0, "median": 0, "max": 0, "silhouette overlap": 1}


def test_gradients_of_the_same_smoothing_agree_in_every_block(compared):
    cosines = compared["figures"]["cpu, hard"]["gradient cosine"]
    assert set(cosines) == {"shape", "expression", "reflectance", "rotation", "translation", "illumination"}
    assert min(cosines.values()) > 0.95
    assert min(compared["figures"]["pytorch3d"]["gradient cosine"].values()) == pytest.approx(1, abs=1e-5)


def test_only_antialiasing_moves_silhouettes(compared):
    ratios = {label: figures.get("derivative over differences") for label, figures in compared["figures"].items()}
    assert ratios["cpu"]["silhouette"] == pytest.approx(1, abs=0.15)
    assert ratios["cpu, hard"]["silhouette"] == ratios["pytorch3d"]["silhouette"] == 0
    assert ratios["cpu"]["reflectance"] == pytest.approx(1, abs=0.05)
    assert ratios["vertex"] is None


def test_vertex_colors_are_those_of_the_image(compared):
    assert compared["figures"]["vertex"]["vertices"]["mean"] < 3


def test_what_does_not_work_here_is_listed_with_its_reason(compared):
    if "nvdiffrast" in compared["figures"]:
        pytest.skip("this machine has a GPU and nvdiffrast")
    assert "nvdiffrast" in compared["not available"]["nvdiffrast"]


def test_report_holds_every_table_and_the_picture(compared):
    text = (compared["out"] / "comparison.md").read_text()
    for kind in ("image", "vertices", "gradient cosine", "derivative over differences", "milliseconds"):
        assert f"| {kind} |" in text
    with Image.open(compared["out"] / "comparison.png") as file:
        picture = np.asarray(file)
    raster = [label for label, figures in compared["figures"].items() if "image" in figures]
    assert picture.shape == (2 * 3 * SIZE, len(raster) * SIZE, 3)
    column = raster.index("pytorch3d") * SIZE
    difference, silhouette = (picture[row * SIZE : (row + 1) * SIZE, column : column + SIZE] for row in (1, 2))
    assert not difference.any()  # of the reference with itself
    assert (silhouette == silhouette[..., :1]).all()
    assert silhouette.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": ("cpu", "gpu")}, "unknown variant 'gpu'; there are 'vertex', 'cpu'"),
        ({"reference": "vertex"}, "forms no image"),
        ({"device": "cuda:99"}, "cuda:99 cannot be used"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(model_path, tmp_path, changes, message):
    config = compare.Config(out=tmp_path / "out", image_size=SIZE, model_path=model_path, **changes)
    with pytest.raises(ValueError, match=message):
        compare.main(config)
    assert not config.out.exists()
