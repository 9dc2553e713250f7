"""A protocol that takes a second, beside the published ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests._inputs import ROOT
from unlearnable.sharing import protocols

#: What takes the time in `rooms-v1` → its share of it.
_LESS = {
    "frames: 3000": "frames: 48",
    "max_epochs: 16": "max_epochs: 1",
    "every_n_epochs: 8": "every_n_epochs: 1",
    "samples: 48": "samples: 8",
    "width: 32": "width: 8",
    "[class_scene, segment_semantic, depth_euclidean, normal, keypoints2d]": "[class_scene, depth_euclidean]",
}


@pytest.fixture
def tiny_rooms(tiny: str, tmp_path: Path) -> str:
    """The same for `rooms-v1`."""
    text = (ROOT / "conf" / "protocol" / "rooms-v1.yaml").read_text()
    for much, little in _LESS.items():
        assert much in text
        text = text.replace(much, little)
    (tmp_path / "conf" / "protocol" / "tiny-rooms-v1.yaml").write_text(text)
    return "tiny-rooms-v1"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name; the store is in `tmp_path` too."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    smoke = (ROOT / "conf" / "experiment" / "smoke.yaml").read_text()
    (tmp_path / "conf" / "protocol" / "tiny-v1.yaml").write_text(smoke)
    monkeypatch.setattr(protocols, "configurations", lambda: tmp_path / "conf")
    monkeypatch.setenv("UNLEARNABLE_STORE", str(tmp_path / "store"))
    return "tiny-v1"
