"""The command line as its users type it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny_model import make_tiny_model

import mofa3d
from mofa3d.cli import main
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.morphable_model import save_model


@pytest.fixture
def photos(tmp_path, portrait):
    (tmp_path / "my photos").mkdir()
    shutil.copyfile(portrait, tmp_path / "my photos" / "Grace_Hopper_0001.jpg")
    (tmp_path / "my photos" / "broken.jpg").write_text("no image")
    return tmp_path / "my photos"


def test_prepare(photos, tmp_path, capsys):
    out = tmp_path / "corpus"
    command = ["prepare", str(photos), "--out", str(out), "--landmarks", "none", "--max-turn", "45", "--workers", "1"]
    assert main.main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "1 faces from 2 photographs (0 duplicates, 1 unreadable)", f"The report is {out / 'report.html'}",
    ]  # fmt: skip
    assert Corpus(out).summary["config"]["limits"]["max_turn"] == 45


def test_synthesize(tmp_path, capsys):
    save_model(make_tiny_model(), tmp_path / "tiny.safetensors")
    command = ["synthesize", "--out", str(tmp_path / "corpus"), "--count", "5", "--image-size", "32", "--yaw", "0.1"]
    assert main.main([*command, "--model-path", str(tmp_path / "tiny.safetensors")]) == 0
    assert capsys.readouterr().out == f"5 faces in {tmp_path / 'corpus'}\n"
    corpus = Corpus(tmp_path / "corpus")
    assert corpus[4]["image"].shape == (3, 32, 32)
    assert corpus.codes.shape == (5, 5 + 4 + 6 + 33)


def test_version(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mofa3d {mofa3d.__version__}\n"


def test_mistakes_are_one_line(tmp_path, capsys):
    assert main.main(["prepare", str(tmp_path / "nowhere"), "--out", str(tmp_path / "corpus")]) == 2
    reason = "and nothing matches it as a pattern; check the path"
    assert capsys.readouterr().err == f"error: there is no file or folder {tmp_path / 'nowhere'}, {reason}\n"
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(tmp_path / "black.png")
    command = ["prepare", str(tmp_path / "black.png"), "--out", str(tmp_path / "corpus"), "--landmarks", "none"]
    assert main.main(command) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith("error: no usable face in any of the 1 photographs (no face 1 times")


def test_bugs_keep_their_traceback(monkeypatch, tmp_path):
    def fail(_: main.Synthesize) -> str:
        raise ValueError("could not broadcast")

    monkeypatch.setattr(main.Synthesize, "__call__", fail)
    with pytest.raises(ValueError, match="could not broadcast"):
        main.main(["synthesize", "--out", str(tmp_path / "out")])


def test_interruption_says_how_to_go_on(monkeypatch, capsys, photos, tmp_path):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(main.Prepare, "__call__", interrupt)
    assert main.main(["prepare", str(photos), "--out", str(tmp_path / "corpus")]) == 130
    assert capsys.readouterr().err == "stopped; run the same command again to continue\n"


def test_module_runs():
    command = [sys.executable, "-m", "mofa3d", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "prepare" in result.stdout
    assert "synthesize" in result.stdout
