"""The README's Python examples run as they are printed, and the commands that are shown are understood."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest
import trimesh
import tyro
from tyro.conf import OmitArgPrefixes

from mofa3d.cli import Command
from programs import ROOT, load

README = ROOT / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
PROGRAMS = [*ROOT.glob("experiments/*.py"), *ROOT.glob("benchmarks/*.py")]
COMMANDS = [
    (folder, program, arguments.strip())
    for path in (README, *PROGRAMS)
    for folder, program, arguments in re.findall(
        r"python (experiments|benchmarks)/(\w+)\.py([^`#\n]*)", path.read_text(encoding="utf-8")
    )
]
# The commands of `mofa3d` itself, up to a comment or the end of the code.
OWN_COMMANDS = re.findall(
    r"\bmofa3d ((?:reconstruct|edit|view|prepare|synthesize|model|export-encoder) [^`#\n]*)",
    README.read_text(encoding="utf-8"),
)


def run(example: str) -> dict:
    names: dict = {}
    exec(compile(example, str(README), "exec"), names)
    return names


@pytest.mark.slow
def test_example_from_a_photograph_to_a_face(default_model, portrait, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(portrait, "photo.jpg")
    run(EXAMPLES[0])
    mesh = trimesh.load_mesh(tmp_path / "face.glb", process=False)
    assert mesh.extents == pytest.approx([0.18, 0.22, 0.17], abs=0.06)


def test_autoencoder_example(default_model):
    names = run(EXAMPLES[1])
    assert names["loss"].shape == (1,)
    assert 0.1 < float(names["loss"]) < 1.0


def test_plain_pytorch3d_example():
    image = run(EXAMPLES[2])["image"]
    assert image.shape == (1, 240, 240, 4)
    # A unit sphere seen from 3 away in a field of view of 60 degrees: a disc of radius tan(asin 1/3) / tan 30°.
    share = float(image[..., 3].mean())
    assert share == pytest.approx(3.1416 / 4 * (0.35355 / 0.57735) ** 2, rel=0.02)


def test_every_example_is_tested():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(("folder", "program", "arguments"), sorted(set(COMMANDS)))
def test_commands_are_understood(folder, program, arguments):
    settings = tyro.cli(load(program, ROOT / folder).Config, args=shlex.split(arguments))
    for option in re.findall(r"--([\w-]+)(?:[= ]([\d.]+))?", arguments):
        name, number = option[0].replace("-", "_"), option[1]
        if number:
            assert getattr(settings, name) == float(number)


@pytest.mark.parametrize("command", sorted(set(OWN_COMMANDS)))
def test_own_commands_are_understood(command):
    tyro.cli(OmitArgPrefixes[Command], args=shlex.split(command))


def test_commands_of_all_programs_are_shown():
    with_options = {path.stem for path in PROGRAMS if "class Config" in path.read_text(encoding="utf-8")}
    assert {program for _, program, _ in COMMANDS} == with_options
