"""A fetched shard is read as a file is, and what was read is let go of."""

from __future__ import annotations

import io

import pytest

from mofa3d.data.streaming.fetched import FetchedShard

CONTENT = bytes(range(200))


def test_it_reads_as_a_file_does():
    fetched, file = FetchedShard(CONTENT), io.BytesIO(CONTENT)
    for offset, whence, size in ((0, 0, 10), (5, 1, 3), (-20, 2, 7), (190, 0, 50), (3, 1, 4), (7, 0, -1)):
        assert fetched.seek(offset, whence) == file.seek(offset, whence)
        assert fetched.read(size) == file.read(size)
    assert FetchedShard(b"").read() == b""


def test_what_was_read_is_let_go_of():
    fetched = FetchedShard(CONTENT)
    assert fetched.read(150) == CONTENT[:150]
    fetched.release()
    assert len(fetched._memory) == 50
    assert fetched.seek(10, 1) == 10
    assert fetched.read(5) == CONTENT[160:165]
    assert fetched.read() == CONTENT[165:]
    fetched.release()
    assert fetched.read(3) == b""
    fetched.close()
    with pytest.raises(ValueError, match="closed"):
        fetched.read(1)
