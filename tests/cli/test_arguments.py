"""Empty arguments, as unset variables leave them behind, are refused by every command and program."""

from __future__ import annotations

import pytest
from programs import EXPERIMENTS

import mofa3d
from mofa3d.cli import main
from mofa3d.cli.program import refuse_empty
from mofa3d.data.sources import find_items


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["", "--out", "x"], "the first argument"),
        (["a.jpg", ""], "what follows a.jpg"),
        (["a.jpg", "--out", ""], "what follows --out"),
        (["a.jpg", "--out", " \t"], "what follows --out"),
        (["a.jpg", "--out="], "the value of --out"),
    ],
)
def test_empty_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=rf'^{named} is empty, as "\$OUT" is when OUT is not set; give a value'):
        refuse_empty(arguments)


def test_other_arguments_pass():
    refuse_empty(["a.jpg", "--out=x", "--out", ".", "--flag", "-1", "-", "a=", "--"])
    refuse_empty([])


@pytest.mark.parametrize(
    "command",
    [
        ["reconstruct", ""],
        ["reconstruct", "a.jpg", "--out", ""],
        ["reconstruct", "a.jpg", "--checkpoint", ""],
        ["prepare", "", "--out", "corpus"],
        ["prepare", "photos", "--out="],
        ["synthesize", "--out", ""],
        ["edit", "", "--out", "edited"],
        ["edit", "a.jpg", "--light-from", ""],
        ["model", "preview", "makehuman", "--out", ""],
        ["view", "--checkpoint", ""],
        ["export-encoder", ""],
    ],
)
def test_commands_refuse_empty_arguments(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(command) == 2
    assert "is empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_programs_refuse_empty_arguments():
    """All of them begin in `mofa3d.cli.program`, which refuses them; see test_program.py."""
    programs = [path for path in EXPERIMENTS.glob("[a-z]*.py") if not path.name.startswith(("test_", "conftest"))]
    with_options = [path for path in programs if "class Config" in path.read_text(encoding="utf-8")]
    assert len(with_options) > 8
    for path in with_options:
        assert "program.run(" in path.read_text(encoding="utf-8"), path


def test_library_refuses_empty_paths(tmp_path, monkeypatch, portrait):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="a source is empty, which would mean the current folder"):
        find_items([""])
    with pytest.raises(ValueError, match="checkpoint is empty, which would mean the current folder"):
        mofa3d.reconstruct(portrait, checkpoint="")
