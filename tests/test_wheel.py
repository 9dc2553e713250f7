"""What is released: the wheel holds the configurations, knows its version, and runs in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import unlearnable
from tests._inputs import ROOT, composed
from unlearnable.identity import modules_of

#: What a wheel is built from; the copy keeps the build's own files out of the repository.
SOURCES = (
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICES", "src", "conf"),
    *(".gitattributes", ".git_archival.txt"),
)


def run(*command: str, cwd: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "UNLEARNABLE_STORE"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def configurations() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}


def test_the_wheel_that_the_source_distribution_gives_holds_every_configuration(sources: Path, tmp_path: Path) -> None:
    build = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
    archive = run(sys.executable, "-c", build, "build_sdist", str(tmp_path), cwd=sources).splitlines()[-1]
    with tarfile.open(tmp_path / archive) as file:
        file.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.removesuffix(".tar.gz")
    wheel = tmp_path / run(sys.executable, "-c", build, "build_wheel", str(tmp_path), cwd=unpacked).splitlines()[-1]
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert {f"unlearnable/{name}" for name in configurations()} <= names
    assert {"unlearnable/py.typed", "unlearnable/report/templates/page.html", "unlearnable/app/cli.py"} <= names
    metadata = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    assert {name.partition("/")[0] for name in names} == {"unlearnable", metadata}
    with zipfile.ZipFile(wheel) as file:
        assert "unlearnable = unlearnable.app.cli:main" in file.read(f"{metadata}/entry_points.txt").decode()
    assert wheel.stat().st_size <= 2e6


def test_the_repository_reads_its_own_configurations_and_any_folder_adds_to_them(tmp_path: Path) -> None:
    (tmp_path / "lab" / "poison").mkdir(parents=True)
    (tmp_path / "lab" / "poison" / "mine.yaml").write_text("_target_: lab.mine.Mine\n")
    # What `unlearnable` is, in a folder of its own.
    command = "import sys; from unlearnable.app.cli import main; main(); print('torch' in sys.modules)"
    arguments = ("hydra.searchpath=[file://lab]", "poison=mine", "--cfg", "job")
    shown = run(sys.executable, "-c", command, *arguments, cwd=tmp_path)
    assert "_target_: lab.mine.Mine" in shown
    assert shown.splitlines()[-1] == "False"  # heavy libraries are left for the job
    info = run(sys.executable, str(ROOT / "run.py"), "--info", "searchpath", cwd=tmp_path)
    assert f"file://{ROOT / 'conf'}" in info.replace("\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]


def test_the_version_is_that_of_the_tag_and_archives_know_it(sources: Path, tmp_path: Path) -> None:
    for name in ("pyproject.toml", ".gitattributes", ".git_archival.txt"):
        shutil.copy(sources / name, tmp_path)
    ask = (sys.executable, "-m", "setuptools_scm")
    assert run(*ask, cwd=tmp_path).strip() == "0.0"  # nothing tells; installing works all the same
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@localhost")
    for command in (("init",), ("add", "."), ("commit", "-m", "Release")):
        run(*git, *command, cwd=tmp_path)
    assert run(*ask, cwd=tmp_path).startswith("0.1.dev")  # no tag, as in shallow clones
    run(*git, "tag", "v1.2.3", cwd=tmp_path)
    assert run(*ask, cwd=tmp_path).strip() == "1.2.3"
    archive = tmp_path / "archive"
    archive.mkdir()
    run(*git, "archive", "--output", "archive.tar", "HEAD", cwd=tmp_path)
    with tarfile.open(tmp_path / "archive.tar") as file:
        file.extractall(archive, filter="data")
    assert run(*ask, cwd=archive).strip() == "1.2.3"


def test_no_key_of_the_store_knows_the_version() -> None:
    """Keys have the code of modules, and the one that says the version is not among them."""
    assert unlearnable.__version__
    assert "unlearnable" not in modules_of(composed(), "unlearnable.experiment")


def test_the_citation_is_of_the_last_release() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what version 1.2.0 of the form asks for
    releases = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation.get("version") == (releases[0] if releases else None)


@pytest.mark.slow
def test_the_installed_command_runs_in_an_empty_folder(sources: Path, tmp_path: Path) -> None:
    dist, target, empty = (tmp_path / name for name in ("dist", "target", "empty"))
    built = {"SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3"}
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), cwd=sources, **built)
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir()), cwd=tmp_path)
    (wheel,) = dist.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    run(*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel), cwd=tmp_path)
    empty.mkdir()
    say = "import unlearnable; print(unlearnable.__file__, unlearnable.__version__)"
    said = run(sys.executable, "-c", say, cwd=empty, PYTHONPATH=str(target)).split()
    assert said == [str(target / "unlearnable" / "__init__.py"), "1.2.3"]
    run(str(target / "bin" / "unlearnable"), "experiment=smoke", cwd=empty, PYTHONPATH=str(target))
    (found,) = empty.glob("outputs/runs/*/*/result.json")
    result = json.loads(found.read_text())
    assert result["ud"] is not None
    assert result["versions"]["unlearnable"] == "1.2.3"  # records take theirs from here
    assert (empty / "outputs" / "store" / "trajectory").is_dir()
    assert [path.name for path in empty.iterdir()] == ["outputs"]
