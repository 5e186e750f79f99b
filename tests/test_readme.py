"""The documents' Python examples run as they are printed, and the commands that are shown are understood."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import trimesh
import tyro
from programs import ROOT, load
from tyro.conf import OmitArgPrefixes

from mofa3d.cli.main import Command

README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
PROSE = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}


def examples(path: Path) -> list[str]:
    """The Python examples of one document."""
    return re.findall(r"```python\n(.*?)```", PROSE[path], flags=re.DOTALL)


EXAMPLES = examples(README)
RENDERERS = examples(ROOT / "docs" / "renderers.md")
PROGRAMS = [*ROOT.glob("experiments/*.py"), *ROOT.glob("benchmarks/*.py")]
COMMANDS = [
    (folder, program, arguments.strip())
    for path in (*DOCUMENTS, *PROGRAMS)
    for folder, program, arguments in re.findall(
        r"python (experiments|benchmarks)/(\w+)\.py([^`#\n]*)", path.read_text(encoding="utf-8")
    )
]
# The commands of `mofa3d` itself, up to a comment or the end of the code.
OWN_COMMANDS = [
    command.strip()
    for text in PROSE.values()
    for command in re.findall(
        r"bin/mofa3d ((?:reconstruct|edit|view|prepare|synthesize|model|export-encoder)\b[^`#\n]*)", text
    )
]


def run(example: str) -> dict:
    names: dict = {}
    exec(compile(example, "example", "exec"), names)
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
    image = run(RENDERERS[0])["image"]
    assert image.shape == (1, 240, 240, 4)
    # A unit sphere seen from 3 away in a field of view of 60 degrees: a disc of radius tan(asin 1/3) / tan 30°.
    share = float(image[..., 3].mean())
    assert share == pytest.approx(3.1416 / 4 * (0.35355 / 0.57735) ** 2, rel=0.02)


def test_every_example_is_tested():
    # That of reconstructing.md is the README's; those of editing.md and files.md have tests of their own; that of
    # evaluation.md needs scans, and that of blender.md Blender.
    assert (len(EXAMPLES), len(RENDERERS)) == (2, 1)
    assert examples(ROOT / "docs" / "reconstructing.md") == EXAMPLES[:1]
    told = {"README", "renderers", "reconstructing", "editing", "evaluation", "files", "blender"}
    assert {path.stem for path in DOCUMENTS if examples(path)} == told


def test_links_lead_somewhere():
    for path, text in PROSE.items():
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


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
    with_options = {path.stem for path in PROGRAMS if re.search("(class|as) Config", path.read_text(encoding="utf-8"))}
    assert {program for _, program, _ in COMMANDS} == with_options
