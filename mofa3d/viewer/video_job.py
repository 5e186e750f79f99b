"""A visitor's video while it is being reconstructed, and what becomes of it."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from mofa3d.data.file_kind import HEAD, kind_of_head
from mofa3d.data.isolated_reader import IsolatedReader
from mofa3d.data.video import TimedFrame
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.reconstruction.video.reconstruct import (
    ARKIT,
    CODES,
    FILM,
    MESH,
    VideoOptions,
    reconstruct_video,
)
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.uploads import plain_name

# What each file is called, and its label on the page.
VIDEO_FILES = {FILM: "Film", MESH: "Animated GLB", ARKIT: "ARKit weights", CODES: "Codes of all frames"}
PASSES = 2  # the video is read to find the face, and again to draw it
ONE_AT_A_TIME = threading.Lock()  # of all visitors


def is_video(content: bytes, name: str) -> bool:
    """Whether an upload is a video, by its first bytes or, where they do not tell, its name."""
    return kind_of_head(content[:HEAD], PurePosixPath(plain_name(name))) == "video"


class StoppedError(Exception):
    """Nobody waits for the video any more."""


class CountingReader(IsolatedReader):
    """Reads a video in another process, and tells how far it is.

    Args:
        report: is called with the share of all passes that is done.
        most: frames; longer videos are refused.
        stopped: whether to read no further.
    """

    def __init__(self, report: Callable[[float], None], most: int, stopped: Callable[[], bool]) -> None:
        super().__init__()
        self._report, self._most, self._stopped = report, most, stopped
        self._passes, self._count = 0, 0

    def frames(self, path: Path) -> Iterator[TimedFrame]:
        """See `mofa3d.data.video.read_frames`.

        Raises:
            InputError: also if the video is too long.
            StoppedError: it was stopped.
        """
        total = self._count or self.info(path).announced
        number = 0
        for number, frame in enumerate(super().frames(path), start=1):
            if self._stopped():
                raise StoppedError
            if number > self._most:
                raise InputError(f"{path} has more than the {self._most} frames that are taken; cut it")
            self._report((self._passes + number / max(number, total)) / PASSES)
            yield frame
        self._count, self._passes = number, self._passes + 1


class VideoJob:
    """Reconstructs a video in a thread of its own.

    Attributes:
        name: what the visitor calls it.
        progress: 0 to 1.
        trouble: why nothing became of it, or "".
        done: whether there are files, or trouble.
    """

    def __init__(self, content: bytes, name: str, tools: Tools) -> None:
        self.name = plain_name(name)
        self.progress, self.trouble, self.done = 0.0, "", False
        self._folder = tempfile.TemporaryDirectory(prefix="mofa3d-")
        self._path = Path(self._folder.name, "video", self.name)
        self._path.parent.mkdir()
        self._path.write_bytes(content)
        self._stop = threading.Event()
        self._tools = tools
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def out(self) -> Path:
        return Path(self._folder.name, "out")

    @property
    def files(self) -> list[str]:
        """Which of the `VIDEO_FILES` there are: not every face model has ARKit's units."""
        return [name for name in VIDEO_FILES if self.done and not self.trouble and (self.out / name).is_file()]

    def file(self, name: str) -> Path:
        """Where one of the `VIDEO_FILES` lies.

        Raises:
            InputError: there is no such file, or not yet.
        """
        if name not in self.files:
            raise InputError(f"there is no file {name!r} of a video")
        return self.out / name

    def stop(self) -> None:
        """End the work, if it goes on, and delete the files."""
        self._stop.set()
        if not self._thread.is_alive():
            self._folder.cleanup()

    def _run(self) -> None:
        tools, most = self._tools, self._tools.limits.frames
        try:
            with (
                ONE_AT_A_TIME,
                closing(CountingReader(self._report, most, self._stop.is_set)) as reader,
                plain_settings(),
            ):
                if self._stop.is_set():  # it waited for another one
                    raise StoppedError
                options = VideoOptions(texture="photograph", progress=False)
                reconstruct_video(
                    self._path, tools.reconstruct, tools.render, self.out, options, reader, tools.textures
                )
        except StoppedError:
            self.trouble = "stopped"
        except InputError as error:
            self.trouble = f"{self.name}: {error}".replace(f"{self._path.parent}/", "")
        except Exception:  # whatever a file can do to a decoder, the page goes on
            logging.getLogger(__name__).exception("reconstructing a video")
            self.trouble = f"{self.name} could not be reconstructed; save it as a plain MP4 file"
        self.done = True
        if self._stop.is_set():
            self._folder.cleanup()

    def _report(self, share: float) -> None:
        self.progress = share
