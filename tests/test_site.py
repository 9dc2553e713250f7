"""The documentation as a site: every page is in its navigation, every public name in its reference; it builds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import unlearnable
from tests._inputs import ROOT

DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def named(node: Any) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(node, str):
        yield node
    else:
        for entry in node.values() if isinstance(node, dict) else node:
            yield from named(entry)


def test_the_navigation_names_every_page_once_and_nothing_else() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(named(SITE["nav"])) == sorted({*pages, "README.md", "CONTRIBUTING.md", "CHANGELOG.md"})


def test_the_reference_has_every_public_name_and_every_base_class() -> None:
    said = re.findall(r"^::: unlearnable\.(\S+)$", (DOCS / "reference.md").read_text(), flags=re.MULTILINE)
    architecture = (DOCS / "architecture.md").read_text(encoding="utf-8")
    seams = architecture[architecture.index("## Seams") : architecture.index("## The store")]
    rows = re.findall(r"^\| [^|]+ \|([^|]+)\|", seams, flags=re.MULTILINE)
    assert sorted(said) == sorted([*unlearnable.__all__, *(name for row in rows for name in classes(row))])


def classes(row: str) -> Iterator[str]:
    """The classes in a cell of the table of seams: `data.module.DataModule`; `ImageDataModule` of the same module."""
    home = ""
    for place, name in re.findall(r"`(?:([\w.]+)\.)?([A-Z]\w*[a-z])`", row):
        home = place or home
        yield f"{home}.{name}"


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # strict: a link that leads nowhere is an error
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?:[^\s\">]+)", page.read_text())
        assert not loaded, page
    assert (tmp_path / "search" / "search_index.js").is_file()  # search works without a server
    # Links to sources lead to copies of them.
    assert (tmp_path / "examples" / "own_poison.py").read_text() == (ROOT / "examples" / "own_poison.py").read_text()
    assert "Sharpness-aware learnability of each layer" in (tmp_path / "reference.html").read_text()
