"""A face from a photograph: its mesh, the photograph with the face laid over it, and how the head is turned.

python examples/face_from_photo.py photo.jpg faces
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import mofa3d


def main(photo: Path, out: Path, checkpoint: Path | None = None) -> mofa3d.Face:
    """Write ``face.glb``, ``face.json`` and ``face.png`` into a folder.

    Args:
        photo: any photograph of a face.
        out: the folder; it is made if it is missing.
        checkpoint: an encoder of your own; ``None`` is the one that comes with the package.
    """
    face = mofa3d.reconstruct(photo, checkpoint=checkpoint)
    face.save(out / "face.glb")  # the mesh with the photograph as its texture; for .obj and .ply write so
    face.save(out / "face.json")  # the semantic code
    face.save(out / "face.png")  # the face laid over the photograph

    pitch, yaw, roll = (math.degrees(angle) for angle in face.code.rotation[0])
    print(f"{len(face.vertices)} vertices in mm, about ({pitch:.0f}°, {yaw:.0f}°, {roll:.0f}°) around x, y and z")
    print(f"the tip of the nose is at pixel {[round(x) for x in face.landmarks[30].tolist()]}")
    return face


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
