"""The recipes of docs/extending.md, taken from the page, run together from a folder outside the package."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests._inputs import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files, and the folder of the job that its command runs."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, content in re.findall(r"^`(lab/\S+)`\n\n```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    command = re.search(r"python run.py (.*?)\n```", PAGE, flags=re.DOTALL)
    assert command is not None
    arguments = shlex.split(command.group(1).replace("\\\n", " "))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    places = [f"hydra.run.dir={folder}/job", f"store.dir={folder}/store", "logger=csv"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments, *places],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "job"


def test_a_folder_outside_the_package_adds_poison_data_set_task_defence_and_measure(job: Path) -> None:
    result = json.loads((job / "result.json").read_text())
    assert (result["poison"], result["dataset"], result["defense"]) == ("stamp", "blobs", "speckle")
    assert result["noise"]["linf_max"] == pytest.approx(16 / 255)
    brightness = result["tasks"]["brightness"]
    assert brightness["metric"] == "rmse"
    assert brightness["test_metric"] > 0
    assert brightness["prior"] == brightness["priors"]["constant"]["rmse"] > 0
    norms = result["tasks"]["side"]["measures"]["weight_norm"]
    assert norms["layers"] == result["tasks"]["side"]["layers"]
    assert all(value > 0 for row in norms["values"] for value in row)


def test_a_plug_in_is_logged_like_any_other(job: Path) -> None:
    header = (job / "csv" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert any(name.startswith("weight_norm/side/") for name in header)
    assert "test/brightness/rmse" in header


def test_the_page_has_all_five(job: Path) -> None:
    names = set(re.findall(r"^`lab/(\S+\.py)`$", PAGE, flags=re.MULTILINE))
    assert names == {"stamp.py", "brightness.py", "blobs.py", "speckle.py", "weight_norm.py"}
