"""Names of earlier releases, and of checkouts, are still found; nobody else's `renderers` is taken for ours."""

from __future__ import annotations

import subprocess
import sys

import pytest
from programs import ROOT

import mofa3d


@pytest.mark.parametrize(
    ("old", "names"),
    [
        ("mofa3d.baselines.scan_comparison", "compare_scans, measure_scans, predicted, read_scans"),
        ("mofa3d.baselines.comparison", "encoder_estimate"),
        ("mofa3d.checkpoints", "claim_folder, open_run"),
        ("mofa3d.code_sizes", "CodeSizes"),
        ("mofa3d.edited_photo", "composite"),
        ("mofa3d.editing", "add_expression, relight, turn"),
        ("mofa3d.expression_units", "expression_units"),
        ("mofa3d.lighting", "directional_light"),
        ("mofa3d.scans.layout", "find_scans"),
        ("mofa3d.video_reconstruction", "reconstruct_video"),
    ],
)
def test_documented_paths_of_earlier_releases(old, names):
    program = f"import warnings\nwith warnings.catch_warnings(record=True) as found:\n    from {old} import {names}\n"
    program += "print(sorted({str(w.message).split(' is now ')[0] for w in found if ' is now ' in str(w.message)}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    warned = set() if old == "mofa3d.editing" else {old, old.rpartition(".")[0]} - {"mofa3d"}
    assert done.stdout.strip() == str(sorted(warned))


def test_the_alias_of_a_checkout_is_the_same_renderer():
    program = (
        "import renderers, mofa3d.renderers\n"
        "from renderers.cpu_rasterizer import CpuRasterizer\n"
        "from renderers import make_renderer\n"
        "import mofa3d.renderers.cpu_rasterizer as ours\n"
        "print(CpuRasterizer is ours.CpuRasterizer, make_renderer is mofa3d.renderers.make_renderer)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_users_own_renderers_are_no_obstacle(tmp_path):
    (tmp_path / "renderers").mkdir()
    (tmp_path / "renderers/__init__.py").write_text("raise RuntimeError('not ours')")
    program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import mofa3d.api; print('fine')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "fine"


@pytest.mark.parametrize("name", mofa3d.__all__)
def test_public_names_are_there(name):
    assert getattr(mofa3d, name) is not None


def test_names_that_nobody_has():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mofa3d.nothing
