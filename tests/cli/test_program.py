"""What a program's main comes to decides how its process ends."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from mofa3d.cli import program
from mofa3d.errors import InputError


@dataclass(frozen=True)
class Options:
    count: int = 1


class OwnError(RuntimeError):
    pass


def end(monkeypatch, main, *arguments: str, **options) -> int:
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as ended:
        program.run(main, Options, "says what it does", **options)
    return ended.value.code


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_status_is_what_main_returns(monkeypatch, returned, status):
    seen = []
    assert end(monkeypatch, lambda config: seen.append(config.count) or returned, "--count", "5") == status
    assert seen == [5]


@pytest.mark.parametrize("error", [InputError("no such file x"), OSError("no such file x"), OwnError("no such file x")])
def test_mistakes_are_one_line(monkeypatch, capsys, error):
    def fail(_: Options) -> None:
        raise error

    assert end(monkeypatch, fail, errors=(OwnError,)) == 2
    assert capsys.readouterr().err == "error: no such file x\n"


@pytest.mark.parametrize("kind", [OwnError, ValueError])
def test_other_errors_keep_their_traceback(monkeypatch, kind):
    monkeypatch.setattr(sys, "argv", ["program"])

    def fail(_: Options) -> None:
        raise kind("a bug")

    with pytest.raises(kind, match="a bug"):
        program.run(fail, Options, None)


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def fail(_: Options) -> None:
        raise KeyboardInterrupt

    assert end(monkeypatch, fail, stopped="stopped; --resume goes on") == 130
    assert capsys.readouterr().err == "stopped; --resume goes on\n"


def test_help_has_the_description(monkeypatch, capsys):
    assert end(monkeypatch, lambda _: None, "--help") == 0
    assert "says what it does" in capsys.readouterr().out


def test_empty_arguments_are_refused(monkeypatch, capsys):
    assert end(monkeypatch, lambda _: None, "--count", "") == 2
    assert capsys.readouterr().err.startswith("error: what follows --count is empty, ")
