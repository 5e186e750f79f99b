"""Eyes that an encoder closes are counted as closed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from programs import load

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.errors import InputError
from mofa3d.models.expression_units import expression_units

check_eyes = load("check_eyes")


def test_gaps_of_lids(tmp_path, capsys, default_model, monkeypatch):
    units = expression_units(default_model)
    still = SemanticCode.zeros(1, default_model.sizes)
    blink = still.replace(expression=(units["eyeBlinkLeft"] + units["eyeBlinkRight"])[None])
    codes = iter([still.to_vector(), blink.to_vector(), blink.to_vector()])
    monkeypatch.setattr(
        check_eyes, "open_run", lambda _: (lambda image: next(codes), Decoder(default_model, Camera(240)))
    )
    monkeypatch.setattr(check_eyes, "detect_faces", lambda _: ["a face"])
    monkeypatch.setattr(check_eyes, "crop_at", lambda *_: SimpleNamespace(pixels=torch.zeros(3, 240, 240)))
    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8), "grey").save(tmp_path / f"{name}.png")
    table = tmp_path / "states.csv"
    table.write_text("file,state\na.png,open\nb.png,closed\nc.png,closed\n")
    check_eyes.main(check_eyes.Config(tmp_path, table))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0 faces not found"
    assert lines[-2].startswith("| closed | 2 | 0.0")
    assert lines[-2].endswith("| 100 |")
    assert lines[-1].startswith("| open | 1 | 0.")
    assert lines[-1].endswith("| 0 |")
    table.write_text("file,state\na.png,open\n")
    codes = iter([still.to_vector()])
    with pytest.raises(InputError, match=r"states\.csv needs photographs of .* with closed eyes, and with open ones"):
        check_eyes.main(check_eyes.Config(tmp_path, table))
