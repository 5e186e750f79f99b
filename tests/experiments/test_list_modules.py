"""From a photograph to face.glb few modules are loaded, and the documentation lists them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = 60
FOREIGN = ("mofa3d.training", "mofa3d.evaluation", "mofa3d.viewer", "mofa3d.cli")


def test_a_face_loads_few_modules_and_the_documentation_lists_them(portrait):
    command = [sys.executable, str(ROOT / "experiments" / "list_modules.py"), str(portrait)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=300)
    loaded = done.stdout.split()
    assert len(loaded) <= MOST
    assert [name for name in loaded if name.startswith(FOREIGN)] == []
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = text.partition("## Modules from a photograph")[2].split("```")[1].removeprefix("text").split()
    assert listed == loaded
