"""--resume, with and without "auto"."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import tyro

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME
from mofa3d.environment.processes import Processes
from mofa3d.errors import InputError
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.resume_option import Resume


@dataclass(frozen=True)
class Options:
    resume: Resume = False
    seed: int = 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Options(False)),
        (["--resume"], Options(True)),
        (["--resume", "--seed", "3"], Options(True, 3)),
        (["--seed", "3", "--resume", "auto"], Options("auto", 3)),
        (["--resume", "no"], Options(False)),
    ],
)
def test_it_is_a_switch_that_may_have_a_value(arguments, expected):
    assert tyro.cli(Options, args=arguments) == expected


def test_other_values_are_refused(capsys):
    with pytest.raises(SystemExit):
        tyro.cli(Options, args=["--resume", "maybe"])
    assert "--resume takes nothing, auto or no, got maybe" in " ".join(capsys.readouterr().err.split())


def test_auto_begins_and_goes_on(tmp_path):
    with claim_folder(tmp_path / "run", "auto") as resume:
        assert resume is False
        (tmp_path / "run" / CHECKPOINT_NAME).touch()
    with claim_folder(tmp_path / "run", "auto") as resume:
        assert resume is True
    with pytest.raises(InputError, match="already contains a training"), claim_folder(tmp_path / "run", False):
        pytest.fail("begun again")


def test_the_first_process_claims_the_folder_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "hand_out", lambda self, value: "what the first says")
    with claim_folder(tmp_path / "run", False, processes=Processes(1, 2)) as resume:
        assert resume == "what the first says"
    assert not (tmp_path / "run").exists()
