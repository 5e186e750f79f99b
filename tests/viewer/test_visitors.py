"""Sessions come, take no more room than there is, and go."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

from mofa3d.viewer.session import Session
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.visitors import Visitors


class Browser:
    def __init__(self, visitors: Visitors, shown: bool) -> None:
        self.has_socket_connection = shown
        self.visitors = visitors
        self.session = Session(Mock(spec=Tools))
        self.token = visitors.enter(self.session, self)

    def delete(self) -> None:
        self.visitors.leave(self)


def test_each_has_a_secret_address():
    visitors = Visitors(3)
    first, second = Browser(visitors, True), Browser(visitors, True)
    assert visitors.session(first.token) is first.session
    assert visitors.session(second.token) is second.session
    assert visitors.session("") is None
    assert len(first.token) >= 32
    assert first.token != second.token


def test_those_who_leave_are_forgotten_and_their_sessions_closed():
    visitors = Visitors(3)
    browser = Browser(visitors, True)
    visitors.leave(browser)
    visitors.leave(browser)
    assert visitors.session(browser.token) is None
    assert len(visitors) == 0
    assert browser.session.closed


def test_no_more_than_there_is_room_for():
    visitors = Visitors(2)
    assert visitors.make_room()
    Browser(visitors, True), Browser(visitors, True)
    assert not visitors.make_room()
    assert len(visitors) == 2


def test_the_oldest_pages_that_nobody_shows_give_way():
    visitors = Visitors(3)
    unseen, shown, younger = Browser(visitors, False), Browser(visitors, True), Browser(visitors, False)
    assert visitors.make_room()
    assert [browser.session.closed for browser in (unseen, shown, younger)] == [True, False, False]
    assert visitors.make_room()
    assert not younger.session.closed


class TestPagesThatAreLoadedAgain:
    @pytest.fixture(autouse=True)
    def holds_something(self, monkeypatch):
        monkeypatch.setattr(Session, "is_empty", False)

    def test_the_new_page_takes_the_session_over(self):
        visitors = Visitors(3, kept=60)
        old, new = Browser(visitors, False), Browser(visitors, True)
        visitors.leave(old)
        assert not old.session.closed
        assert visitors.claim(old.token, new) is old.session
        assert new.session.closed
        assert len(visitors) == 1
        visitors.leave(old)
        assert visitors.session(old.token) is old.session
        assert visitors.claim("unknown", new) is None

    def test_session_that_is_shown_is_not_given_away(self):
        visitors = Visitors(3, kept=60)
        shown, other = Browser(visitors, True), Browser(visitors, True)
        assert visitors.claim(shown.token, other) is None

    def test_nobody_comes_back(self):
        visitors = Visitors(3, kept=0.05)
        browser = Browser(visitors, False)
        visitors.leave(browser)
        end = time.monotonic() + 10
        while not browser.session.closed:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert len(visitors) == 0

    def test_those_who_left_give_way_at_once(self):
        visitors = Visitors(1, kept=60)
        browser = Browser(visitors, False)
        visitors.leave(browser)
        assert visitors.make_room()
        assert browser.session.closed
