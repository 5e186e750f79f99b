"""Tables of landmarks: every malformed row is named, and each photograph gets the table meant for it."""

from __future__ import annotations

import numpy as np
import pytest
from landmark_tables import write_landmarks

from mofa3d.data.landmark_table import HEADER, LANDMARKS_FILE, find_landmarks, read_landmarks


def points(start: float = 0.0) -> np.ndarray:
    return (start + np.arange(136, dtype=np.float32) / 4).reshape(68, 2)


def row(name: str, start: float = 0.0) -> str:
    return ",".join([name, *map(str, points(start).ravel())])


def write(path, *rows: str, header: str | None = None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(HEADER) if header is None else header, *rows]) + "\n", encoding="utf-8")
    return path


def test_header():
    assert HEADER[:5] == ["file", "x0", "y0", "x1", "y1"]
    assert (HEADER[-1], len(HEADER)) == ("y67", 137)


def test_values_come_back(tmp_path):
    table = read_landmarks(write(tmp_path / "t.csv", row("a.jpg"), row("sub/b.jpg", -7.5)))
    assert list(table) == ["a.jpg", "sub/b.jpg"]
    assert np.array_equal(table["a.jpg"], points())
    assert table["sub/b.jpg"][67].tolist() == [26.0, 26.25]
    assert table["a.jpg"].dtype == np.float32


def test_written_to_a_hundredth_of_a_pixel(tmp_path):
    table = {"ü, a.jpg": np.pi * points(), "b.jpg": points(1000.0)}
    write_landmarks(tmp_path / "t.csv", table)
    again = read_landmarks(tmp_path / "t.csv")
    assert again.keys() == table.keys()
    for name in table:
        np.testing.assert_allclose(again[name], table[name], atol=0.0051)


def test_spreadsheets_leave_marks_and_blank_lines(tmp_path):
    content = "\ufeff" + ",".join(HEADER) + "\r\n" + row("sub\\a.jpg") + "\r\n\r\n" + row(" b.jpg ") + "\r\n"
    (tmp_path / "t.csv").write_bytes(content.encode())
    assert list(read_landmarks(tmp_path / "t.csv")) == ["sub/a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("b.jpg") + ",1", "expected a file name and 136 numbers, got 138"),
        (row("b.jpg").rsplit(",", 1)[0], "got 136"),
        ("b.jpg", "got 1"),
        (row("b.jpg").replace(",0.25,", ",left,"), "could not convert string to float: 'left'"),
        (row("b.jpg").replace(",0.25,", ",,"), "could not convert"),
        (row("b.jpg").replace(",0.25,", ",nan,"), "not finite"),
        (row("b.jpg").replace(",0.25,", ",inf,"), "not finite"),
        (row("a.jpg"), "a.jpg is listed twice"),
    ],
)
def test_malformed_rows_are_named(tmp_path, bad, message):
    path = write(tmp_path / "t.csv", row("a.jpg"), bad, row("c.jpg"))
    with pytest.raises(ValueError, match=message) as error:
        read_landmarks(path)
    assert str(error.value).startswith(f"{path}, row 3: ")


@pytest.mark.parametrize("header", ["", "name,x,y", ",".join(HEADER[:-1]), ",".join(HEADER).replace("x3,y3", "y3,x3")])
def test_wrong_header(tmp_path, header):
    with pytest.raises(ValueError, match=r"row 1: expected the columns file,x0,y0"):
        read_landmarks(write(tmp_path / "t.csv", row("a.jpg"), header=header))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary\x00"])
def test_what_is_no_table(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.csv"):
        read_landmarks(tmp_path / "t.csv")


def test_missing_table(tmp_path):
    with pytest.raises(ValueError, match="there is no landmark table"):
        read_landmarks(tmp_path / "t.csv")


class TestFindLandmarks:
    def test_beside_above_and_outside_the_folder(self, tmp_path):
        root = tmp_path / "photos"
        write(root / "a" / LANDMARKS_FILE, row("1.jpg", 1))
        write(root / LANDMARKS_FILE, row("b/2.jpg", 2))
        write(tmp_path / LANDMARKS_FILE, row("photos/b/3.jpg", 3))
        found = find_landmarks(root, ["a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg"])
        assert {photo: value[0, 0] for photo, value in found.items()} == {"a/1.jpg": 1, "b/2.jpg": 2, "b/3.jpg": 3}

    def test_the_nearest_table_counts(self, tmp_path):
        root = tmp_path / "photos"
        write(root / "a" / LANDMARKS_FILE, row("1.jpg", 1))
        write(root / LANDMARKS_FILE, row("a/1.jpg", 2), row("a/2.jpg", 3))
        found = find_landmarks(root, ["a/1.jpg", "a/2.jpg"])
        assert (found["a/1.jpg"][0, 0], found["a/2.jpg"][0, 0]) == (1, 3)

    def test_a_bare_name_that_only_one_photograph_has(self, tmp_path):
        write(tmp_path / "photos" / LANDMARKS_FILE, row("1.jpg", 5))
        found = find_landmarks(tmp_path / "photos", ["deep/down/1.jpg", "2.jpg"])
        assert list(found) == ["deep/down/1.jpg"]

    def test_a_bare_name_that_two_photographs_have(self, tmp_path):
        write(tmp_path / "photos" / LANDMARKS_FILE, row("1.jpg"))
        with pytest.raises(ValueError, match=r"1\.jpg fits both a/1\.jpg and b/1\.jpg"):
            find_landmarks(tmp_path / "photos", ["a/1.jpg", "b/1.jpg"])

    def test_a_path_is_preferred_to_a_bare_name(self, tmp_path):
        write(tmp_path / "photos" / LANDMARKS_FILE, row("1.jpg", 1), row("a/1.jpg", 2))
        found = find_landmarks(tmp_path / "photos", ["1.jpg", "a/1.jpg"])
        assert (found["1.jpg"][0, 0], found["a/1.jpg"][0, 0]) == (1, 2)

    def test_folders_whose_names_begin_alike(self, tmp_path):
        write(tmp_path / "photos" / "a" / LANDMARKS_FILE, row("1.jpg"))
        assert find_landmarks(tmp_path / "photos", ["ab/1.jpg"]) == {}

    def test_no_table(self, tmp_path):
        assert find_landmarks(tmp_path / "photos", ["1.jpg"]) == {}
