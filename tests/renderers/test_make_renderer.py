from __future__ import annotations

import sys

import pytest
import torch

from mofa3d.renderers import BUILT_IN, make_renderer


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match="unknown renderer 'opengl'") as error:
        make_renderer("opengl")
    assert all(name in str(error.value) for name in BUILT_IN)


def test_entry_point_of_another_package(tmp_path, monkeypatch):
    (tmp_path / "their_renderer.py").write_text("def make(**options):\n    return ('theirs', options)\n")
    metadata = tmp_path / "their_renderer-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-renderer\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mofa3d.renderers]\ntheirs = their_renderer:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert make_renderer("theirs", quality=3) == ("theirs", {"quality": 3})
    with pytest.raises(ValueError, match="theirs"):
        make_renderer("opengl")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_nvdiffrast_names_the_missing_gpu():
    with pytest.raises(ValueError, match="needs an NVIDIA GPU"):
        make_renderer("nvdiffrast")


def test_nvdiffrast_names_the_missing_package(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "nvdiffrast", None)
    with pytest.raises(ValueError, match=r"needs the package nvdiffrast .*pip install"):
        make_renderer("nvdiffrast")


@pytest.mark.parametrize("options", [{"faces_per_pixel": 1}, {"sigma": 0.0}, {"gamma": -1.0}])
def test_soft_blending_refuses_settings_that_cannot_blend(options):
    with pytest.raises(ValueError, match="soft blending needs"):
        make_renderer("pytorch3d", soft=True, **options)
