"""Files behind URLs, through fsspec: ``s3://``, ``gs://``, ``http://``, ``memory://`` and whatever else it knows."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from mofa3d.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
TRIES = 3  # of a request: networks have hiccups
PAUSE = 0.2  # seconds before the second try; twice as long before each further one
TOKENS = ("ETag", "etag", "mtime", "LastModified", "updated", "created")  # what file systems call it
CHUNK = 1 << 22  # bytes
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z0-9+.-]+)*://")
Answer = TypeVar("Answer")


class MissingFileError(InputError):
    """There is no such file."""


@runtime_checkable
class OpenFile(Protocol):
    """A file to read, of whatever file system."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go on elsewhere."""

    def close(self) -> None:
        """End it."""


def is_url(text: str) -> bool:
    """Whether a text is a URL; a Windows path with its drive is none."""
    return _URL.match(text) is not None


def join(url: str, *names: str) -> str:
    """The URL of a file below another."""
    return "/".join([url.rstrip("/"), *names])


@cache
def file_system(protocol: str) -> Any:
    """The file system of a protocol, made once.

    Raises:
        InputError: fsspec, or the package that it needs for this protocol, is missing, or nobody knows the protocol.
    """
    try:
        import fsspec

        return fsspec.filesystem(protocol)
    except (ImportError, ValueError) as error:  # of fsspec
        raise InputError(
            f"{protocol}:// cannot be read ({error}); install what reads it: pip install mofa3d[remote], and s3fs for "
            "s3:// or gcsfs for gs://"
        ) from None


def read_url(url: str, first: int | None = None, last: int | None = None) -> bytes:
    """The content of a file, or its bytes from `first` to before `last`.

    Raises:
        InputError: it cannot be read, after several tries, with the reason.
    """
    content = _trying(url, lambda system: system.cat_file(url, start=first, end=last))
    if first is not None and last is not None and len(content) > last - first:
        _tell_of_ranges(url.split("/")[2])
        return content[first:last]
    return content


@cache
def _tell_of_ranges(host: str) -> None:
    _LOG.warning("%s sends whole files where parts are asked for, which takes longer", host)


def url_exists(url: str) -> bool:
    """Whether there is a file.

    Raises:
        InputError: nobody can be asked, which is no answer.
    """
    try:  # what file systems have for this takes any failure for a no
        _trying(url, lambda system: system.cat_file(url, start=0, end=1))
    except MissingFileError:
        return False
    return True


def url_token(url: str) -> str:
    """Changes when the file does; "" where the server says nothing that would."""
    found = _trying(url, lambda system: system.info(url))
    known = [f"{name}={found[name]}" for name in TOKENS if found.get(name)]
    return ", ".join([*known, f"size={found.get('size')}"]) if known else ""


def find_urls(pattern: str) -> list[str]:
    """Files that a pattern with ``*``, ``?``, ``[...]`` matches, sorted; raises InputError when nobody can be asked."""

    def find(system: Any) -> list[str]:
        return [str(system.unstrip_protocol(path)) for path in system.glob(pattern)]

    return sorted(_trying(pattern, find))


def copy_url(url: str, path: Path) -> None:
    """Copy a file to the disk, whole or not at all.

    Raises:
        InputError: it cannot be read.
        OSError: it cannot be written.
    """
    from mofa3d.files.whole import whole_file

    with whole_file(path) as file:
        for chunk in _chunks(url):
            file.write(chunk)


def _chunks(url: str) -> Iterator[bytes]:
    with closing(open_url(url)) as remote, naming_url(url):
        while chunk := remote.read(CHUNK):
            yield chunk


def open_url(url: str) -> OpenFile:
    """A file to read from its beginning on, fetched in blocks; raises InputError when it cannot be opened."""
    return _trying(url, lambda system: system.open(url, "rb"))


@contextmanager
def naming_url(url: str) -> Iterator[None]:
    """Let whatever a file system raises be an InputError with the file's name."""
    try:
        yield
    except InputError as error:
        if url in str(error):
            raise
        raise InputError(f"{url}: {error}") from error
    except Exception as error:  # each file system raises kinds of its own
        raise InputError(f"{url} cannot be read ({str(error) or type(error).__name__})") from error


def _trying(url: str, ask: Callable[[Any], Answer]) -> Answer:
    protocol = url.split("://")[0].split("::")[0]
    system = file_system(protocol)
    for attempt in range(TRIES):
        with naming_url(url):
            try:
                return ask(system)
            except FileNotFoundError:
                raise MissingFileError(f"there is no {url}") from None
            except (PermissionError, ValueError, TypeError):  # of the file system
                raise
            except Exception:
                if attempt == TRIES - 1:
                    raise
        time.sleep(PAUSE * 2**attempt)
    raise AssertionError("unreachable")
