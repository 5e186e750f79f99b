"""OBJ meshes keep the order of their vertices; polygons become triangles."""

from __future__ import annotations

import numpy as np
import pytest

from mofa3d.models.formats.obj import read_vertices, read_wavefront

CUBE_SIDE = """# a square of two quads, and a triangle
mtllib none.mtl
v 0 0 0 0.5 0.5 0.5
v 1.5e0 0 0
v 1.5 1 0
v 0 1 -0.25
v 3 0 0
v 3 1 0
vt 0 0
vt 0.5 0 0
vt 0.5 1
vt 0 1
vt 0.75 0
vt 1 0
vn 0 0 1
s off
f 1/1/1 2/2/1 3/3/1 4/4/1
f 2/5/1 5/6/1 6/6/1 3/3/1
f 3/3 6/6 4/4
"""


def test_vertices_faces_and_texture(tmp_path):
    (tmp_path / "mesh.obj").write_text(CUBE_SIDE)
    mesh = read_wavefront(tmp_path / "mesh.obj")
    np.testing.assert_array_equal(mesh.vertices[[1, 3]], [[1.5, 0, 0], [0, 1, -0.25]])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2], [2, 5, 3]])
    assert mesh.uv.shape == (6, 2)
    np.testing.assert_array_equal(mesh.uv[[0, 2, 3, 4]], [[0, 0], [0.5, 1], [0, 1], [1, 0]])
    assert mesh.uv[1].tolist() in ([0.5, 0], [0.75, 0])  # on the seam
    np.testing.assert_array_equal(read_vertices(tmp_path / "mesh.obj"), mesh.vertices)


@pytest.mark.parametrize("face", ["f 1 2 3", "f 1//1 2//1 3//1"])
def test_without_texture(tmp_path, face):
    (tmp_path / "mesh.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\n{face}\n")
    mesh = read_wavefront(tmp_path / "mesh.obj")
    assert mesh.uv is None
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])


@pytest.mark.parametrize(
    "start", [b"", b"\xef\xbb\xbf", b"  ", b"\t"], ids=["plain", "byte order mark", "spaces", "tab"]
)
@pytest.mark.parametrize("gap", [b" ", b"\t", b"   "], ids=["space", "tab", "spaces"])
def test_no_line_is_lost_to_white_space_or_a_byte_order_mark(tmp_path, start, gap):
    lines = [b"v 5 0 0", b"v 1 0 0", b"v 0 1 0", b"f 1 2 3"]
    (tmp_path / "mesh.obj").write_bytes(start + b"\r\n".join(lines).replace(b" ", gap))
    mesh = read_wavefront(tmp_path / "mesh.obj")
    np.testing.assert_array_equal(mesh.vertices, [[5, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])


def test_coordinates_keep_the_digits_of_the_file(tmp_path):
    """`pytorch3d.io.load_obj` rounds them to float32, too coarse for differences of meshes."""
    (tmp_path / "mesh.obj").write_text("v 123.456789012 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert read_wavefront(tmp_path / "mesh.obj").vertices[0, 0] == 123.456789012


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has no vertex"),
        (b"v 0 0 0\n", "it has no triangles"),
        (b"v 0 0\nf 1 1 1\n", "a line of 'v' does not hold 3 numbers"),
        (b"v 0 0 x\nf 1 1 1\n", "a line of 'v' does not hold 3 numbers"),
        (b"v 0 0 nan\nf 1 1 1\n", "a number of 'v' is not finite"),
        (b"v 0 0 0\nf 1 2 1\n", "faces have indices from 1 to 2, expected 1 to 1"),
        (b"v 0 0 0\nf 1 0 1\n", "faces have indices from 0 to 1, expected 1 to 1"),
        (b"v 0 0 0\nvt 0 0\nf 1/1 1/2 1/1\n", "faces have indices from 1 to 2, expected 1 to 1"),
        (b"v 0 0 0\nf 1 a 1\n", "a face contains something that is not an index"),
        (b"v 0 0 0\nf 1 99999999999999999999 1\n", "a face contains something that is not an index"),
        (b"\xff\xfe\x00binary", "it is not text"),
    ],
)
def test_damage_is_named(tmp_path, content, message):
    (tmp_path / "mesh.obj").write_bytes(content)
    with pytest.raises(ValueError, match=f"mesh.obj is no usable OBJ mesh: {message}"):
        read_wavefront(tmp_path / "mesh.obj")
