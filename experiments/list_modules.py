"""Print the modules of mofa3d that are loaded from a photograph to face.glb, one a line.

python experiments/list_modules.py portrait.jpg
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import mofa3d


def face_modules(photo: Path) -> list[str]:
    """What `mofa3d.reconstruct(photo).save("face.glb")` loads in this process, packages too."""
    with tempfile.TemporaryDirectory() as folder:
        mofa3d.reconstruct(photo).save(Path(folder) / "face.glb")
    return sorted(name for name in sys.modules if name.partition(".")[0] == "mofa3d")


if __name__ == "__main__":
    if len(sys.argv) != 2:  # no program of options: that would load modules of its own
        sys.exit(f"usage: {sys.argv[0]} PHOTO")
    print("\n".join(face_modules(Path(sys.argv[1]))))
