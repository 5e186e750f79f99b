"""Every training program in two processes: the losses of one, and one report."""

from __future__ import annotations

import sys

import pytest
import together

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the processes are forked"),
]


def test_programs_take_the_same_steps_and_write_one_report(workplace, run, people):
    found = together.run("parallel_programs.train", workplace / "programs", 1, 2, timeout=1500)
    for name, alone in found[1].items():
        two = found[2][name]
        # Adam's first steps are as long for gradients that are mere rounding, which grows thirtyfold with each of them.
        # Only those of train_pooled.py grow so far in four steps.
        for first, bound in ((2, 1e-5), (3, 1e-3), (4, 1e-2 if name == "pooled" else 1e-3)):
            assert two["losses"][:first] == pytest.approx(alone["losses"][:first], rel=bound), name
        assert len(alone["losses"]) == (0 if name == "mofa" else 4)
        for files in (alone["files"], two["files"]):
            events = [file for file in files if file.startswith("events.")]
            assert {"checkpoint.pt", "config.json", "metrics.jsonl", "report.md"} <= set(files), name
            assert len(events) == 1, name
