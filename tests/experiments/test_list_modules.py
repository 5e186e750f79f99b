"""From a photograph to face.glb, and for a training, few modules are loaded, and the documentation lists them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACE, TRAINING = "From a photograph to face.glb", "A training with the vertex renderer, on a prepared corpus"
# What finds the face and its points, with three networks; it came later than the limit of 60.
FRONT_DOOR = {
    f"mofa3d.data.{name}"
    for name in (
        *("blazeface", "crop_transform", "doubts", "face_landmarker", "find_faces", "found_face", "landmarks_478"),
        *("locate", "networks", "yunet"),
    )
}


@pytest.fixture(scope="module")
def loaded(portrait) -> dict[str, list[str]]:
    """Modules of each flow, as the program prints them."""
    command = [sys.executable, str(ROOT / "experiments" / "list_modules.py"), str(portrait)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=300)
    _, *parts = done.stdout.replace(f"{TRAINING}:", f"{FACE}:").split(f"{FACE}:")
    return dict(zip((FACE, TRAINING), map(str.split, parts), strict=True))


def foreign(names: list[str], rooms: set[str]) -> list[str]:
    return [name for name in names if len(name.split(".")) > 1 and name.split(".")[1] in rooms]


def test_a_face_loads_few_modules_and_nothing_of_other_rooms(loaded):
    assert "mofa3d.export.gltf" in loaded[FACE]
    assert len(set(loaded[FACE]) - FRONT_DOOR) <= 60
    assert len(loaded[FACE]) <= 70
    assert foreign(loaded[FACE], {"training", "evaluation", "viewer", "cli"}) == []


def test_a_training_loads_few_modules_and_nothing_of_other_rooms(loaded):
    assert "mofa3d.training.loop" in loaded[TRAINING]
    assert len(loaded[TRAINING]) <= 75
    others = {"evaluation", "viewer", "reconstruction", "editing", "export", "pictures", "fitting"}
    assert foreign(loaded[TRAINING], others) == []


def test_the_documentation_lists_them(loaded):
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Modules that are loaded")[2]
    listed = [block.removeprefix("text").split() for block in text.split("```")[1::2]]
    assert listed == list(loaded.values())
