"""Nothing is used without a look that only some systems have."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mofa3d.data.corpus.shards import open_to_read, read_at

ROOT = Path(__file__).parent.parent
FOLDERS = ("mofa3d", "renderers", "experiments", "benchmarks")
FILES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
MODULES = {"fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "winreg"}
OF_SOME_SYSTEMS = {
    "os": """O_BINARY O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK chown fchmod fchown fork forkpty geteuid
        getloadavg getpgid getuid killpg mkfifo nice pread preadv pwrite register_at_fork
        sched_getaffinity setpgid setsid statvfs
        sync sysconf uname wait3 wait4""",
    "signal": "SIGALRM SIGBREAK SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGTSTP SIGUSR1 SIGUSR2 SIGXFSZ alarm setitimer",
}


def used_without_a_look(text: str) -> list[str]:
    """Names in a file that only some systems have and whose presence it does not ask for, as `hasattr` does."""
    nodes = list(ast.walk(ast.parse(text)))
    asked = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = OF_SOME_SYSTEMS.get(node.value.id, "").split()
            if node.attr in names and node.attr not in asked:
                found.append(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.value for start in ("/proc/", "/sys/", "/dev/", "/tmp/") if node.value.startswith(start)]
    return found


def test_what_only_some_systems_have_is_found():
    text = "import os, fcntl\nopen('/proc/meminfo')\nos.fork()\nif hasattr(os, 'pread'): os.pread(0, 1, 0)\n"
    assert sorted(used_without_a_look(text)) == ["/proc/meminfo", "fcntl", "os.fork"]


def test_nothing_is_used_that_only_some_systems_have():
    assert len(FILES) > 200
    found = {str(path.relative_to(ROOT)): used_without_a_look(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("has_pread", [True, False])
def test_threads_read_one_file_at_once(has_pread, tmp_path, monkeypatch):
    if not has_pread:  # as on Windows
        monkeypatch.delattr("os.pread", raising=False)
    content = bytes(range(256)) * 40
    (tmp_path / "file").write_bytes(content)
    with open(tmp_path / "file", "rb") as opened:
        handle = opened.fileno()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda offset: read_at(handle, 100, offset), range(10_000)))
    assert found == [content[offset : offset + 100] for offset in range(10_000)]


def test_files_are_opened_for_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"a\r\n\x1ab")
    with open(open_to_read(tmp_path / "file"), "rb") as file:
        assert read_at(file.fileno(), 10, 0) == b"a\r\n\x1ab"
