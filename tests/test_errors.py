import ast
import re
from pathlib import Path

import mofa3d
from mofa3d.errors import InputError

SOURCE = Path(mofa3d.__file__).parent


def _names(handler: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(handler) if isinstance(node, ast.Name)}


def _catching_value_errors(text: str) -> list[int]:
    """Lines that catch or suppress a plain ValueError and do not say whose it is."""
    lines, found = text.splitlines(), []
    for node in ast.walk(ast.parse(text)):
        caught = (
            node.type
            if isinstance(node, ast.ExceptHandler)
            else node.context_expr
            if isinstance(node, ast.withitem)
            else None
        )
        said = caught is not None and re.search(r"#.*\bof\b", lines[caught.lineno - 1])
        if caught is not None and "ValueError" in _names(caught) and not said:
            found.append(caught.lineno)
    return found


def test_input_errors_are_value_errors_and_public():
    assert issubclass(InputError, ValueError)
    assert mofa3d.InputError is InputError
    assert "InputError" in mofa3d.__all__


def test_plain_value_errors_are_caught_only_where_it_is_said_whose_they_are():
    found = {
        f"{path.relative_to(SOURCE)}:{number}"
        for path in sorted(SOURCE.rglob("*.py"))
        for number in _catching_value_errors(path.read_text(encoding="utf-8"))
    }
    assert not found, "catch InputError, or say whose ValueError it is, as in `# of float()`"


def test_the_search_finds_handlers_without_a_reason():
    text = "try:\n    f()\nexcept (OSError, ValueError):\n    pass\nwith suppress(ValueError):\n    f()\n"
    assert sorted(_catching_value_errors(text)) == [3, 5]
    assert _catching_value_errors(text.replace("Error):\n", "Error):  # of float()\n")) == []
