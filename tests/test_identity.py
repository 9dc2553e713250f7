"""Which code a key depends on: on trees of files made for the test, and on the package itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests._inputs import ROOT, composed
from unlearnable import identity
from unlearnable.identity import code_of, digest_of, modules_of, plain

#: A laboratory's folder: two nets, a method with a surrogate, a defence, and what they share.
LAB = {
    "lab/__init__.py": "",
    "lab/nets/__init__.py": "from lab.nets.dense import dense\nfrom lab.nets.tiny import tiny as small\n",
    "lab/nets/dense.py": "def dense(): return 1\n",
    "lab/nets/tiny.py": "from lab.nets._blocks import block\ndef tiny(): return block()\n",
    "lab/nets/_blocks.py": "def block(): return 2\n",
    "lab/method.py": "import torch\nclass Method:\n    def run(self):\n        from lab.late import late\n        return late\n",
    "lab/late.py": "late = 3\n",
    "lab/guard.py": "from .nets import small\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lab.types\n",
    "lab/types.py": "T = int\n",
}
TINY = {"net": {"_target_": "lab.nets.tiny.tiny", "width": 3}}
METHOD = {"_target_": "lab.method.Method", "surrogates": [{"_target_": "lab.nets.tiny.tiny"}]}


def forget() -> None:
    for cached in (identity._home, identity._imports_of, identity._find, identity._places, identity._read):
        cached.cache_clear()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in LAB.items():
        write(tmp_path / name, text)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    forget()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def changed_by(root: Path, source: object, name: str, text: str) -> bool:
    """Whether a new process would see another digest once the file `name` holds `text`."""
    before = code_of(source)
    write(root / name, text)
    forget()
    return code_of(source) != before


@pytest.mark.parametrize("name", ["lab/nets/dense.py", "lab/method.py", "lab/nets/__init__.py", "lab/types.py"])
def test_code_that_was_not_chosen_changes_nothing(lab: Path, name: str) -> None:
    assert not changed_by(lab, TINY, name, LAB[name] + "more = 1\n")


@pytest.mark.parametrize("name", ["lab/nets/tiny.py", "lab/nets/_blocks.py"])
def test_the_code_that_was_chosen_and_what_it_imports_count(lab: Path, name: str) -> None:
    assert changed_by(lab, TINY, name, LAB[name] + "more = 1\n")


@pytest.mark.parametrize("name", ["lab/method.py", "lab/late.py", "lab/nets/tiny.py", "lab/nets/_blocks.py"])
def test_a_methods_key_has_its_surrogates_code_and_imports_within_functions(lab: Path, name: str) -> None:
    assert changed_by(lab, METHOD, name, LAB[name] + "more = 1\n")


def test_a_name_that_a_package_reexports_leads_to_its_home_alone(lab: Path) -> None:
    assert set(modules_of({"_target_": "lab.nets.small"})) == {"lab.nets.tiny", "lab.nets._blocks"}
    # A relative import of the name; what is under TYPE_CHECKING does not count.
    assert set(modules_of({"_target_": "lab.guard.Guard"})) == {"lab.guard", "lab.nets.tiny", "lab.nets._blocks"}


def test_folders_without_an_init_are_packages_too(lab: Path) -> None:
    (lab / "lab/__init__.py").unlink()
    (lab / "lab/nets/__init__.py").unlink()
    assert set(modules_of(TINY)) == {"lab.nets.tiny", "lab.nets._blocks"}


@pytest.mark.parametrize(
    "text",
    [
        "import lab.nets.tiny\nnet = lab.nets.tiny.tiny\n",
        "import lab.nets as nets\nnet = nets.small\n",
        "from lab import nets\nnet = nets.small\n",
        "from .nets import tiny\n",
        "from lab.nets.tiny import *\n",
    ],
)
def test_every_way_to_import_is_seen(lab: Path, text: str) -> None:
    write(lab / "lab/guard.py", text)
    assert {"lab.guard", "lab.nets.tiny", "lab.nets._blocks"} <= set(modules_of("lab.guard"))


def test_comments_docstrings_and_imports_for_type_checkers_do_not_count(lab: Path) -> None:
    guard = {"_target_": "lab.guard.small"}
    text = '"""Guards."""\n' + LAB["lab/guard.py"] + "    import lab.late  # for an annotation\n"
    assert not changed_by(lab, guard, "lab/guard.py", text)
    assert not changed_by(
        lab, TINY, "lab/nets/tiny.py", LAB["lab/nets/tiny.py"].replace("():", "():\n    '''Two.'''\n   ")
    )


def test_a_file_is_read_once_a_process(lab: Path) -> None:
    before = code_of(TINY)
    write(lab / "lab/nets/tiny.py", "other = 1\n")
    assert code_of(TINY) == before


def test_circles_and_missing_modules_end(lab: Path) -> None:
    write(lab / "lab/late.py", "import lab.method\nimport lab.nosuch\n")
    assert {"lab.method", "lab.late"} <= set(modules_of(METHOD))
    assert modules_of({"_target_": "nosuch.of.this"}, {"_target_": "__main__.Main"}) == {}
    with pytest.raises(ValueError, match=r"names of modules; got 'lab\.nosuch'"):
        code_of("lab.nosuch")


def test_a_plug_in_brings_the_modules_of_the_package_that_it_imports(lab: Path) -> None:
    write(
        lab / "alone.py", "import unlearnable\nfrom lab.late import late\nbeta = unlearnable.learnability_threshold\n"
    )
    found = set(modules_of({"_target_": "alone.Alone"}))
    assert {"alone", "lab.late", "unlearnable.distances.threshold"} <= found
    assert not any(name.startswith("unlearnable.measures") for name in found)


def test_the_package_brings_no_code_from_outside(lab: Path) -> None:
    write(lab / "lightning.py", "wrong = 1\n")
    assert all(name.startswith("unlearnable.") for name in modules_of("unlearnable.training"))


def test_installed_libraries_contribute_nothing(lab: Path) -> None:
    write(lab / "site-packages/lib/__init__.py", "x = 1\n")
    sys.path.insert(0, str(lab / "site-packages"))
    try:
        nodes = [{"_target_": name} for name in ("lib.x", "torch.optim.SGD", "lightning.pytorch.Trainer", "json.loads")]
        assert modules_of(nodes) == {}
        assert code_of(nodes) == code_of()
    finally:
        sys.path.remove(str(lab / "site-packages"))


def test_hydras_ways_to_name_an_object_count(lab: Path) -> None:
    node = {"loss": {"_target_": "hydra.utils.get_method", "path": "lab.nets.tiny.tiny"}}
    assert set(modules_of(node)) == {"lab.nets.tiny", "lab.nets._blocks"}


def test_configurations_are_resolved(lab: Path) -> None:
    config = OmegaConf.create({"home": "lab.nets.tiny.tiny", "net": {"_target_": "${home}"}})
    assert plain(config.net) == {"_target_": "lab.nets.tiny.tiny"}
    assert code_of(config.net) == code_of({"_target_": "lab.nets.tiny.tiny"})
    assert plain(3) == 3


def test_the_order_of_sources_and_what_is_loaded_make_no_difference(lab: Path) -> None:
    digest = code_of(TINY, METHOD)
    assert code_of([METHOD, TINY]) == digest
    code = (
        "import lab.method, lab.nets, unlearnable.store\nfrom unlearnable.identity import code_of\n"
        f"print(code_of({METHOD!r}, {TINY!r}))"
    )
    path = f"{lab}:{ROOT / 'src'}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest


def test_digests_of_keys_do_not_depend_on_their_order() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    with pytest.raises(TypeError):
        digest_of({"a": Path()})


def home(config: Mapping) -> str:
    return str(identity._home(config["net"]["_target_"]))


def test_editing_densenet_does_not_retrain_tiny_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = home(composed("model=densenet121").model)
    others = {model: composed(f"model={model}") for model in ("tiny_resnet",)}
    before = {model: code_of(config.model, config.poison) for model, config in others.items()}
    changed = code_of(composed("model=densenet121").model)
    read = identity._read

    def edited(path: Path) -> identity._Source:
        source = read(path)
        digest = "edited" if path == identity._find(dense) else source.digest
        return identity._Source(digest, source.tree, source.names, source.package)

    monkeypatch.setattr(identity, "_read", edited)
    assert code_of(composed("model=densenet121").model) != changed
    assert {model: code_of(config.model, config.poison) for model, config in others.items()} == before


@pytest.mark.parametrize("poison", ["em", "rem", "tap", "hypo", "dc"])
def test_a_poisons_key_has_its_surrogates_code(poison: str) -> None:
    assert "unlearnable.models.tiny_resnet" in modules_of(composed(f"poison={poison}").poison)


def test_a_digest_does_not_depend_on_pythons_version() -> None:
    """Later ones have more fields, which are empty here, and leave out others that are."""
    text = identity._text(ast.parse("class A:\n    def f(self): ...\nx: int = f'{1!r}'"))
    assert "[]" not in text
    assert "None" not in text
    assert text != identity._text(ast.parse("class A:\n    def f(self, y): ...\nx: int = f'{1!r}'"))
