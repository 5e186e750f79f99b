"""Print the modules of mofa3d that are loaded from a photograph to face.glb, one a line.

python experiments/list_modules.py portrait.jpg
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from mofa3d.cli import program

FLOW = """
import sys, tempfile, mofa3d
with tempfile.TemporaryDirectory() as folder:
    mofa3d.reconstruct(sys.argv[1]).save(folder + "/face.glb")
print("\\n".join(sorted(name for name in sys.modules if name.partition(".")[0] == "mofa3d")))
"""


@dataclass(frozen=True)
class Config:
    photo: Positional[Path]
    """A photograph with a face."""


def main(config: Config) -> int:
    # In a process of its own: this one has loaded `mofa3d.cli`.
    return subprocess.run([sys.executable, "-c", FLOW, str(config.photo)], check=False).returncode


if __name__ == "__main__":
    program.run(main, Config, __doc__)
