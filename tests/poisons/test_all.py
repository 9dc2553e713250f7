"""Properties that every method shares."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unlearnable import poisons
from unlearnable.poisons.image.budget import check_budget

from ._asserts import assert_in_budget, norms
from ._inputs import CLASSWISE, METHODS, RADIUS, image_set


def poisoned_by(name: str, seed: int = 0, **changes: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images, labels = image_set()
    method = METHODS[name]()
    for key, value in changes.items():
        setattr(method, key, value)
    return images, labels, method.apply(images, labels, num_classes=4, seed=seed)


@pytest.mark.parametrize("name", METHODS)
def test_keeps_the_budget_after_rounding_and_changes_every_image(name: str) -> None:
    images, _, poisoned = poisoned_by(name)
    method = METHODS[name]()
    assert_in_budget(images, poisoned, method.radius, method.norm)
    assert (norms(images, poisoned)["linf"] > 0).all()


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("tap_l0", "dc", "hypo")])
def test_uses_the_budget(name: str) -> None:
    # A poison that uses a small part of its budget is compared unfairly. Clipping at 0 and 255 takes some away; DC's
    # generator is free to use less, and the test's three steps of HYPO, from zero, do not get there.
    images, _, poisoned = poisoned_by(name)
    method = METHODS[name]()
    assert norms(images, poisoned)[method.norm].mean() > 0.4 * method.radius


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_gives_the_same_images_and_the_inputs_stay(name: str) -> None:
    images, labels = image_set()
    before = images.clone(), labels.clone()
    state = torch.get_rng_state()
    first = METHODS[name]().apply(images, labels, num_classes=4, seed=3)
    torch.rand(7)  # what the global generator does in between must not matter
    second = METHODS[name]().apply(images, labels, num_classes=4, seed=3)
    assert torch.equal(first, second)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
    torch.set_rng_state(state)
    METHODS[name]().apply(images, labels, num_classes=4, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("ops")])
def test_another_seed_gives_other_images(name: str) -> None:
    assert not torch.equal(poisoned_by(name, seed=0)[2], poisoned_by(name, seed=1)[2])


@pytest.mark.parametrize("name", ["tap", "hypo", "lsp", "ar", "random_samplewise", "ops", "em", "ntga"])
def test_a_share_changes_that_share_of_every_class_and_the_rest_stays(name: str) -> None:
    images, labels, poisoned = poisoned_by(name, fraction=0.4)
    changed = norms(images, poisoned)["linf"] > 0
    # 15 images in each of 4 classes; 0.4 · 15 = 6.
    assert torch.equal(torch.bincount(labels[changed], minlength=4), torch.tensor([6, 6, 6, 6]))


def test_a_list_of_classes_changes_these_alone() -> None:
    images, labels, poisoned = poisoned_by("random", fraction=[1, 3])
    changed = norms(images, poisoned)["linf"] > 0
    assert torch.equal(changed, (labels == 1) | (labels == 3))


@pytest.mark.parametrize("name", CLASSWISE)
def test_classwise_methods_give_one_pattern_a_class(name: str) -> None:
    images, labels = image_set()
    images[:] = 128 if "ops" not in name and "l0" not in name else images  # no clipping hides the pattern
    poisoned = METHODS[name]().apply(images, labels, num_classes=4, seed=0)
    shown = poisoned if "ops" in name or "l0" in name else poisoned.int() - images.int()
    touched = poisoned != images
    for label in range(4):
        members = labels == label
        # Set pixels: the colour is common; added noise: the noise is.
        common = touched[members].any(0)
        patterns = torch.where(common, shown[members], 0)
        assert (patterns == patterns[0]).all()


@pytest.mark.parametrize("name", ["em", "em_classwise", "tap", "rem", "dc", "hypo", "ntga"])
def test_an_interrupted_generation_goes_on_to_the_same_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = image_set()
    whole = METHODS[name]().apply(images, labels, num_classes=4, seed=0)
    from unlearnable.poisons.image import base as _base

    original, calls = _base.round_to_grid, 0

    def killed(*arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    method = METHODS[name]()
    method.batch_size = 20
    whole = method.apply(images, labels, num_classes=4, seed=0)
    monkeypatch.setattr(_base, "round_to_grid", killed)
    with pytest.raises(KeyboardInterrupt):
        method.apply(images, labels, num_classes=4, seed=0, work_dir=tmp_path)
    monkeypatch.setattr(_base, "round_to_grid", original)
    again = method.apply(images, labels, num_classes=4, seed=0, work_dir=tmp_path)
    assert torch.equal(again, whole)


def test_em_goes_on_after_the_last_finished_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = image_set()
    method = METHODS["em"]()
    method.stop_accuracy, method.max_rounds = 1.0, 4
    whole = method.apply(images, labels, num_classes=4, seed=0)
    from unlearnable.poisons import em

    original, calls = em.loss_and_accuracy, 0

    def killed(*arguments: object) -> tuple[float, float]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(em, "loss_and_accuracy", killed)
    with pytest.raises(KeyboardInterrupt):
        method.apply(images, labels, num_classes=4, seed=0, work_dir=tmp_path)
    again = method.apply(images, labels, num_classes=4, seed=0, work_dir=tmp_path)
    assert calls == 3 + 2  # two rounds were kept, two are made
    assert torch.equal(again, whole)


@pytest.mark.parametrize("name", ["lsp", "random", "em"])
def test_large_sets_are_kept_in_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, whole = poisoned_by(name)
    from unlearnable.poisons.image import base as _base
    from unlearnable.poisons.image import training_set as _data

    monkeypatch.setattr(_base, "RESIDENT_BYTES", 100)
    monkeypatch.setattr(_data, "RESIDENT_BYTES", 100)
    again = METHODS[name]().apply(images, labels, num_classes=4, seed=0, work_dir=tmp_path)
    assert (tmp_path / "poisoned.u8").stat().st_size == images.numel()
    if name == "em":  # its noise is in half precision then, so other signs of gradients come out
        assert (tmp_path / "em.f16").stat().st_size == 2 * images.numel()
        assert_in_budget(images, again, RADIUS, "linf")
    else:
        assert torch.equal(again, whole)


def test_clean_returns_the_images() -> None:
    images, labels = image_set()
    assert poisons.Clean().apply(images, labels, num_classes=4, seed=0) is images


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: poisons.RandomNoise(radius=8), r"`radius` must lie in \(0, 1\].*8/255"),
        (lambda: poisons.RandomNoise(radius=0.001), "at least 1/255"),
        (lambda: poisons.RandomNoise(radius=-1), "`radius` must be a positive"),
        (lambda: poisons.RandomNoise(radius=float("nan")), "`radius` must be a positive"),
        (lambda: poisons.OPS(radius=1.5), "number of pixels"),
        (lambda: poisons.OPS(radius=1, norm="linf"), "`norm` must be 'l0'"),
        (lambda: check_budget(0.1, "l1"), "`norm` must be one of linf, l2, l0; got 'l1'"),
        (lambda: poisons.RandomNoise(radius=0.1, fraction=0), "`fraction` must lie in"),
        (lambda: poisons.RandomNoise(radius=0.1, fraction=[-1]), "`fraction` as a list"),
        (lambda: poisons.RandomNoise(radius=0.1, batch_size=0), "`batch_size` must be at least 1"),
        (lambda: poisons.TAP(surrogate=TinyNetStub, radius=0.1, steps=0), "`steps` must be at least 1; got 0"),
        (lambda: poisons.EM(surrogate=TinyNetStub, radius=0.1, stop_accuracy=1.5), "`stop_accuracy`"),
        (lambda: poisons.REM(surrogate=TinyNetStub, radius=0.1, adversarial_radius=0.2), "`adversarial_radius`"),
        (lambda: poisons.AR(radius=1, norm="l0"), "`norm` must be 'l2' or 'linf'"),
    ],
)
def test_wrong_arguments_are_named_in_the_constructor(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()  # type: ignore[operator]


def TinyNetStub(num_classes: int) -> torch.nn.Module:  # noqa: N802
    raise AssertionError("no network may be built before the arguments are checked")


def test_labels_and_radius_that_do_not_fit_the_images_are_named() -> None:
    images, labels = image_set()
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 3\); found 0 to 3"):
        poisons.RandomNoise(radius=0.1).apply(images, labels, num_classes=3, seed=0)
    with pytest.raises(ValueError, match="at most 256 for norm 'l0' on 3×16×16"):
        poisons.OPS(radius=257).apply(images, labels, num_classes=4, seed=0)
    with pytest.raises(ValueError, match="`fraction` must name classes below 4; got \\[7\\]"):
        poisons.RandomNoise(radius=0.1, fraction=[7]).apply(images, labels, num_classes=4, seed=0)


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'; it has AR, Clean"):
        _ = poisons.Nothing
