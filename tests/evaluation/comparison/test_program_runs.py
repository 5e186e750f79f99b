"""Steps of a comparison: what is finished is reused, what was interrupted is resumed, what fails is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.program_runs import Program, carry_out, check_record, programs_of


class Recorder:
    """Takes commands in the place of programs; `reason` makes it fail."""

    def __init__(self, reason: str = "") -> None:
        self.commands: list[list[str]] = []
        self.reason = reason

    def __call__(self, command, log: Path) -> None:
        self.commands.append(list(command))
        if self.reason:
            raise InputError(self.reason)


@pytest.fixture
def step(tmp_path) -> Program:
    return Program("mofa", "train_mofa", ("--data", "my photos"), tmp_path / "runs" / "mofa")


def test_a_new_step_is_run_and_its_command_kept(step):
    run = Recorder()
    outcome = carry_out(step, run)
    assert run.commands == [["train_mofa", "--data", "my photos", "--out", str(step.out)]]
    assert outcome.command == f"python experiments/train_mofa.py --data 'my photos' --out {step.out}"
    assert outcome.reason == ""
    assert step.record.read_text(encoding="utf-8") == outcome.command + "\n"


@pytest.mark.parametrize("name", ["checkpoint.pt", "targets.safetensors"])
def test_an_interrupted_step_goes_on(step, name):
    step.out.mkdir(parents=True)
    (step.out / name).touch()
    run = Recorder()
    outcome = carry_out(step, run)
    assert run.commands[0][-1] == "--resume"
    assert outcome.command.endswith("--resume")


def test_a_finished_step_is_not_run_again(step):
    carry_out(step, Recorder())
    step.out.mkdir(parents=True)
    (step.out / "report.json").touch()
    run = Recorder()
    assert carry_out(step, run).command.endswith("# finished before")
    assert run.commands == []


def test_a_failure_is_an_outcome(step):
    assert carry_out(step, Recorder("no face was found")).reason == "no face was found"


def test_a_folder_of_another_command_is_refused(step):
    carry_out(step, Recorder())
    other = Program("mofa", "train_mofa", ("--data", "others"), step.out)
    with pytest.raises(ValueError, match=r"was filled with\n.*'my photos'.*\nbut now this was asked for"):
        check_record(other)


def test_programs_run_as_processes_and_say_why_they_failed(tmp_path):
    (tmp_path / "good.py").write_text("import sys\nsys.stdout.write(sys.argv[1])\n", encoding="utf-8")
    text = "import sys\nsys.exit('error: no photograph in\\nthe folder' if len(sys.argv) > 1 else 3)\n"
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")
    run, log = programs_of(tmp_path), tmp_path / "log"
    run(["good", "error: old"], log)
    assert log.read_text(encoding="utf-8") == "error: old"
    with pytest.raises(ValueError, match=r"bad ended with status 1: no photograph in the folder \(see .*log\)"):
        run(["bad", "now"], log)
    with pytest.raises(ValueError, match="bad ended with status 3: it printed nothing"):
        run(["bad"], log)
