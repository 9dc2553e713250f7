"""The shell commands of README and tutorial run as they stand on the page, in order, in an empty folder.

Files that a page shows are written there (their name, in backticks, stands before the block). What a page shows of a
command's output, a block of `text` after it, must come of it, line for line; figures may be others, and "…" stands for
anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests._inputs import ROOT

PAGES = ("README.md", "docs/tutorial.md")
#: Sets up an environment, from an index of packages: what `make` and `tests/test_wheel.py` do.
SETS_UP = re.compile(r"(make|pip|python -m venv|\.) ")
#: Needs data that are not there; such commands are composed by `tests/test_pages.py`.
NEEDS_DATA = re.compile(r"…|data[_-]dir")


class Block(NamedTuple):
    """A block of a page: its language, its content, and the file's name where one stands before it."""

    language: str
    content: str
    file: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"(?:^`([\w./]+)`\n\n)?^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(language, content, file) for file, language, content in found]


def commands(block: Block) -> Iterator[str]:
    """The commands of a `console` block that are to run."""
    if block.language == "console":
        for line in block.content.replace("\\\n", " ").splitlines():
            if not SETS_UP.match(line) and not NEEDS_DATA.search(line):
                yield line


def masked(text: str) -> list[str]:
    """Lines without their figures and the widths of their columns."""
    bare = re.sub(r"\d+(?:\.\d+)?(?:e-\d+)?", "0", text)
    return [" ".join(re.sub(r"━+", "━", line).split()) for line in bare.splitlines()]


def shows(line: str, printed: str) -> bool:
    """Whether a line of the page, with "…" for anything, stands for a line that was printed."""
    return re.fullmatch(".*".join(map(re.escape, line.split("…"))), printed) is not None


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_sets_up_or_needs_data(page: str) -> None:
    shells = [block for block in blocks(page) if block.language == "console"]
    assert shells
    for command in (command for block in shells for command in commands(block)):
        assert command.split()[0] in ("unlearnable", "python", "ls"), command


def test_every_target_of_make_is_there() -> None:
    used = {name for page in PAGES for name in re.findall(r"\bmake ([a-z-]+)", (ROOT / page).read_text())}
    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert used
    assert used <= there


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_run_in_order_in_an_empty_folder(page: str, tmp_path: Path) -> None:
    shown = ""
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.content, encoding="utf-8")
        elif block.language == "text":
            printed = masked(shown)
            for line in masked(block.content):
                assert any(shows(line, one) for one in printed), (line, shown)
        elif found := list(commands(block)):
            shown = run("\n".join(found), tmp_path)


def run(script: str, folder: Path) -> str:
    """What commands print, errors too; they stop at the first that fails."""
    environment = {name: value for name, value in os.environ.items() if name != "UNLEARNABLE_STORE"}
    done = subprocess.run(
        ("bash", "-euc", script),
        cwd=folder,
        env={**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
