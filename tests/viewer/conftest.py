"""A running server of the page, and a photograph of a face for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from odd_files import encoded
from PIL import Image

if TYPE_CHECKING:
    from served_page import Served


@pytest.fixture(scope="session")
def running() -> Iterator[Served]:
    """NiceGUI serves once in a process."""
    from served_page import make_served  # here: tests without the page's package are skipped

    served = make_served()
    yield served
    served.server.should_exit = True
    served.thread.join(timeout=20)


@pytest.fixture
def served(running) -> Iterator[Served]:
    """It goes on after every attack, and has nothing to complain of."""
    running.written.clear()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: running.written.append(record.getMessage() + str(record.exc_info or ""))
    loggers = [logging.getLogger(name) for name in ("", "uvicorn")]  # what goes to one does not go to the other
    for logger in loggers:
        logger.addHandler(handler)
    yield running
    assert running.get().status_code == 200
    for logger in loggers:
        logger.removeHandler(handler)
    assert running.written == []


@pytest.fixture(scope="module")
def face(portrait) -> bytes:
    picture = Image.open(portrait).convert("RGB").crop((100, 60, 440, 400)).resize((200, 200))
    return encoded(picture, "PNG")
