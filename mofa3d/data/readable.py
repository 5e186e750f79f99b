"""Which images can be read, found out before a computation of minutes that one of them would end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from torch.utils.data import Dataset

from mofa3d.data.failures import Failure
from mofa3d.data.photo import blaming, opened, read_photo
from mofa3d.errors import InputError

_LOG = logging.getLogger(__name__)
JPEG_END = b"\xff\xd9"
TAIL = 4096  # bytes at the end of a file in which the end of a JPEG must stand; some cameras write more behind it
NAMED = 5  # images in a warning


def problem_of(path: Path) -> str:
    """What is wrong with a photograph, as far as its header and its last bytes tell; "" if nothing is.

    A JPEG whose end is somewhere else is decoded: phones write a video behind it.
    """
    if not path.is_file():  # nor a pipe, which would be waited for
        return "there is no such file"
    try:
        with open(path, "rb") as file:
            is_jpeg = file.read(2) == b"\xff\xd8"
            file.seek(max(0, path.stat().st_size - TAIL))
            tail = file.read()
        if is_jpeg and JPEG_END not in tail:
            read_photo(path)
        else:
            with blaming(path), opened(path, path):
                pass
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return ""


def readable(dataset: Dataset, indices: Sequence[int]) -> tuple[list[int], list[Failure]]:
    """The items that can be read, and what is wrong with the others, which a warning names.

    Args:
        dataset: as `mofa3d.data.corpus.dataset.Corpus`, whose images decode in less than a millisecond.
        indices: of the items.

    Raises:
        InputError: none can be read.
    """

    def problem(index: int) -> str:
        try:
            dataset[index]
        except (InputError, OSError) as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(cpu_count()) as pool:
        problems = dict(zip(indices, pool.map(problem, indices), strict=True))
    failures = [Failure(str(index), text) for index, text in problems.items() if text]
    if failures and len(failures) == len(problems):
        raise InputError(f"none of the {len(problems)} images can be read (the first: {failures[0].reason})")
    warn_about(failures)
    return [index for index in indices if not problems[index]], failures


def warn_about(failures: Sequence[Failure]) -> None:
    """Name what is left out."""
    if failures:
        reasons = "; ".join(failure.reason for failure in failures[:NAMED])
        more = "" if len(failures) <= NAMED else f"; and {len(failures) - NAMED} more"
        _LOG.warning("%d images cannot be read and are left out: %s%s", len(failures), reasons, more)
