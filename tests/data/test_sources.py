"""Every kind of source gives its photographs under lasting names; what cannot be read says why."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mofa3d.data import sources
from mofa3d.data.folder import LeftOut
from mofa3d.data.sources import Item, Reader, find_items


def save(path: Path, value: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def make_video(path: Path, frames: int) -> Path:
    """Frame i is grey with the value 10 i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), 10 * i, np.uint8))
    writer.release()
    return path


def make_archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def png(value: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (5, 4), (value, value, value)).save(data, "PNG")
    return data.getvalue()


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items]


class TestFolders:
    def test_photographs_are_sorted_and_named_from_the_folder(self, tmp_path):
        root = tmp_path / "faces"
        for name in ("b.jpg", "A/2.PNG", "A/1.webp", "note.txt", ".hidden.jpg", ".git/3.jpg", "ü ö/4.jpg"):
            if name.endswith("txt"):
                (root / name).write_text("no photograph")
            else:
                save(root / name)
        items = find_items([root])
        assert keys(items) == ["faces/A/1.webp", "faces/A/2.PNG", "faces/b.jpg", "faces/ü ö/4.jpg"]
        assert {item.root for item in items} == {root}

    def test_folders_of_the_same_name_keep_their_photographs_apart(self, tmp_path):
        for parent in "xyz":
            save(tmp_path / parent / "faces" / "1.jpg")
        items = find_items([tmp_path / parent / "faces" for parent in "xyz"])
        assert keys(items) == ["faces/1.jpg", "faces/1.jpg~2", "faces/1.jpg~3"]
        assert [item.path.parent.parent.name for item in items] == ["x", "y", "z"]

    def test_links_are_followed_once(self, tmp_path):
        root = tmp_path / "faces"
        save(root / "1.jpg")
        save(tmp_path / "elsewhere" / "2.jpg")
        (root / "more").symlink_to(tmp_path / "elsewhere")
        (root / "loop").symlink_to(root)
        (tmp_path / "elsewhere" / "back").symlink_to(root)
        (root / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
        items = find_items([root])
        assert keys(items) == ["faces/1.jpg", "faces/dangling.jpg", "faces/more/2.jpg"]
        with pytest.raises(ValueError, match="there is no photograph at"):
            Reader().read(items[1])

    def test_folder_that_cannot_be_opened_is_an_item_with_its_problem(self, tmp_path, monkeypatch):
        save(tmp_path / "faces" / "1.jpg")
        walk = os.walk

        def closed(root, onerror, **options):
            onerror(PermissionError(13, "Permission denied", str(tmp_path / "faces" / "private")))
            return walk(root, **options)

        monkeypatch.setattr(sources.os, "walk", closed)
        items = find_items([tmp_path / "faces"])
        assert keys(items) == ["faces/1.jpg", "faces/private"]
        with pytest.raises(ValueError, match=r"the folder .*private cannot be read \(Permission denied\)"):
            Reader().read(items[1])


class TestFilesAndPatterns:
    def test_single_photograph(self, tmp_path):
        path = save(tmp_path / "a b ü.jpg", 90)
        [item] = find_items([str(path)])
        assert (item.key, item.root) == ("a b ü.jpg", tmp_path)
        assert abs(int(Reader().read(item).mean()) - 90) < 3

    def test_pattern(self, tmp_path):
        for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.txt"):
            save(tmp_path / name) if name.endswith("jpg") else (tmp_path / name).write_text("")
        assert keys(find_items([f"{tmp_path}/*/[13].jpg"])) == ["1.jpg", "3.jpg"]
        assert keys(find_items([f"{tmp_path}/?"])) == ["a/1.jpg", "a/2.jpg", "b/3.jpg"]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda root: root / "nowhere", "there is no file or folder .*nowhere"),
            (lambda root: f"{root}/*.jpg", "nothing matches it as a pattern"),
            (lambda root: root, "has nothing that can be used"),
        ],
    )
    def test_sources_with_nothing_in_them(self, tmp_path, make, message):
        with pytest.raises(ValueError, match=message):
            find_items([make(tmp_path)])

    def test_file_of_an_unknown_kind(self, tmp_path):
        (tmp_path / "a.doc").write_text("text")
        with pytest.raises(ValueError, match=r"a\.doc is not of a supported type; give a photograph"):
            find_items([tmp_path / "a.doc"])

    def test_no_source_and_no_frames(self, tmp_path):
        with pytest.raises(ValueError, match="there is no source"):
            find_items([])
        with pytest.raises(ValueError, match="every must be at least 1 frame"):
            find_items([save(tmp_path / "a.jpg")], every=0)

    def test_stamp_changes_with_the_file(self, tmp_path):
        path = save(tmp_path / "a.png", 3)
        [item] = find_items([path])
        before = item.stamp
        save(path, 4, (90, 70))
        assert item.stamp != before
        path.unlink()
        assert item.stamp == ""


class TestContentAndNotTheSuffix:
    def test_photographs_are_found_whatever_they_are_called(self, tmp_path):
        names = {
            "a.jfif": "JPEG",
            "b.avif": "AVIF",
            "c.jpg_large": "JPEG",
            "d": "PNG",
            "e.mp4": "WEBP",
            "f.jp2": "JPEG2000",
        }
        for name, kind in names.items():
            Image.new("RGB", (32, 24), (90, 90, 90)).save(tmp_path / name, kind)
        (tmp_path / "g.ppm").write_bytes(b"P6\n2 1\n255\n" + bytes([90] * 6))
        items = find_items([tmp_path])
        assert [item.path.name for item in items] == [*names, "g.ppm"]
        assert {item.kind for item in items} == {"photo"}
        assert all(abs(int(Reader().read(item).mean()) - 90) < 2 for item in items)
        assert keys(find_items([tmp_path / "a.jfif", tmp_path / "d"])) == ["a.jfif", "d"]  # given themselves
        assert len(find_items([f"{tmp_path}/*"])) == 7
        members = {name: (tmp_path / name).read_bytes() for name in names}
        assert len(find_items([make_archive(tmp_path.parent / "shard.tar", members)])) == 6

    def test_videos_and_archives_too(self, tmp_path):
        make_video(tmp_path / "talk.avi", 4).rename(tmp_path / "talk.bin")
        make_archive(tmp_path / "shard.tar", {"1.png": png(1)}).rename(tmp_path / "shard.jpg")
        assert keys(find_items([tmp_path], every=2)) == [
            f"{tmp_path.name}/shard.jpg#1.png", f"{tmp_path.name}/talk.bin#000000", f"{tmp_path.name}/talk.bin#000002"
        ]  # fmt: skip
        assert [item.is_video for item in find_items([tmp_path], every=None)] == [False, True]

    def test_raw_photographs_are_told(self, tmp_path):
        (tmp_path / "a.nef").write_bytes(b"MM\0*" + bytes(100))
        with pytest.raises(ValueError, match=r"a\.nef is a raw photograph, which must be developed first"):
            find_items([tmp_path / "a.nef"])


class TestWhatIsLeftOut:
    FILES = ("a.txt", "b.TXT", "c.psd", "d", ".hidden.jpg", ".git/config", "Thumbs.db", ".DS_Store", "landmarks_68.csv")

    def fill(self, root: Path) -> Path:
        save(root / "1.png")
        for name in self.FILES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"text")
        (root / "e.cr2").write_bytes(b"II*\0\x10\0\0\0CR" + bytes(90))
        return root

    def test_of_folders_is_counted_by_kind(self, tmp_path, caplog):
        root = self.fill(tmp_path / "faces")
        (root / "reconstruction.json").write_text('{"files": ["mine.png"]}')
        save(root / "mine.png")
        (root / "corpus").mkdir()
        (root / "corpus" / ".mofa3d").write_text("prepare")
        caplog.set_level("INFO")
        assert keys(find_items([root])) == ["faces/1.png"]
        [message] = caplog.messages
        assert message == (
            f"{root}: left out 3 written by mofa3d, 2 .txt, 2 hidden, 1 .psd, 1 raw (.cr2; develop first), "
            "1 without a suffix"
        )

    def test_of_patterns_and_archives_too(self, tmp_path, caplog):
        root = self.fill(tmp_path / "faces")
        archive = make_archive(tmp_path / "a.tar", {"1.png": png(1), "1.json": b"{}", "2.json": b"{}", ".x": b""})
        caplog.set_level("INFO")
        find_items([f"{root}/1*", archive])
        assert caplog.messages == [f"{archive}: left out 2 .json, 1 hidden"]
        with pytest.raises(ValueError, match=r"has nothing that can be used \(1 \.txt\)"):
            find_items([f"{root}/*.txt"])

    def test_only_the_most_frequent_kinds_are_named(self):
        left_out = LeftOut()
        for number in range(10):
            for _ in range(10 - number):
                left_out.add(Path(f"a.{number}"))
        assert str(left_out).startswith("10 .0, 9 .1, ")
        assert str(left_out).endswith("3 .7, 3 of other kinds")

    def test_nothing_is_said_where_nothing_is_left_out(self, tmp_path, caplog):
        caplog.set_level("INFO")
        find_items([save(tmp_path / "faces" / "1.png").parent])
        assert caplog.messages == []


class TestVideos:
    def test_every_third_frame(self, tmp_path):
        items = find_items([make_video(tmp_path / "talk.avi", 10)], every=3)
        assert keys(items) == [f"talk.avi#{frame:06d}" for frame in (0, 3, 6, 9)]
        reader = Reader()
        for order in ((0, 1, 2, 3), (3, 0, 2)):  # backwards the video is opened again
            values = [float(reader.read(items[i]).mean()) for i in order]
            assert values == pytest.approx([30 * i for i in order], abs=3)
        reader.close()

    def test_frames_that_are_not_there(self, tmp_path):
        path = make_video(tmp_path / "talk.avi", 4)
        with pytest.raises(ValueError, match=r"frame 7 of .* cannot be decoded; the video is shorter or damaged"):
            Reader().read(Item("talk.avi#7", path, tmp_path, frame=7))

    def test_damaged_video(self, tmp_path):
        (tmp_path / "bad.mp4").write_bytes(b"no video")
        [item] = find_items([tmp_path / "bad.mp4"])
        with pytest.raises(ValueError, match=r"bad\.mp4 is not a readable video"):
            Reader().read(item)


class TestArchives:
    def test_members(self, tmp_path):
        members = {"a/2.png": png(20), "1.png": png(10), "1.json": b"{}", ".x.png": png(0)}
        items = find_items([make_archive(tmp_path / "shard.tar", members)])
        assert keys(items) == ["shard.tar#a/2.png", "shard.tar#1.png"]  # in the order of the archive
        assert [int(Reader().read(item).mean()) for item in items] == [20, 10]

    def test_damaged_member_is_named(self, tmp_path):
        [item] = find_items([make_archive(tmp_path / "shard.tar", {"1.png": png(10)[:20]})])
        with pytest.raises(ValueError, match=r"shard\.tar#1\.png is (damaged|not an image)"):
            Reader().read(item)

    def test_archive_that_is_cut_off(self, tmp_path):
        path = make_archive(tmp_path / "shard.tar", {"1.png": png(10), "2.png": os.urandom(20_000)})
        path.write_bytes(path.read_bytes()[:4000])
        items = find_items([path])
        assert Reader().read(items[0]).shape == (4, 5, 3)
        with pytest.raises(ValueError, match=r"is cut off|is damaged as an archive"):
            Reader().read(items[-1])

    def test_what_is_no_archive(self, tmp_path):
        (tmp_path / "bad.tar").write_text("text" * 300)
        [item] = find_items([tmp_path / "bad.tar"])
        with pytest.raises(ValueError, match=r"bad\.tar is damaged as an archive"):
            Reader().read(item)

    def test_huge_member_is_refused_before_it_is_read(self, tmp_path):
        path = make_archive(tmp_path / "shard.tar", {"1.png": png(10)})
        item = Item("shard.tar#1.png", path, tmp_path, offset=512, size=10**12)
        with pytest.raises(ValueError, match="has 1000000000000 bytes, more than"):
            Reader().read(item)
