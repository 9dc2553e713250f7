"""A protocol that takes a second, beside the published ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests._inputs import ROOT
from unlearnable.sharing import protocols


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name; the store is in `tmp_path` too."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    smoke = (ROOT / "conf" / "experiment" / "smoke.yaml").read_text()
    (tmp_path / "conf" / "protocol" / "tiny-v1.yaml").write_text(smoke)
    monkeypatch.setattr(protocols, "configurations", lambda: tmp_path / "conf")
    monkeypatch.setenv("UNLEARNABLE_STORE", str(tmp_path / "store"))
    return "tiny-v1"
