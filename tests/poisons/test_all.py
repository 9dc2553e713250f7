"""Properties that every method shares; the methods are found by their configurations."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException

from unlearnable.data.samples import Samples
from unlearnable.poisons.base import Poison
from unlearnable.poisons.em import EM
from unlearnable.poisons.image import base, checkpoint, training_set
from unlearnable.poisons.image.base import Perturb
from unlearnable.poisons.image.training_set import TrainingSet
from unlearnable.poisons.random import RandomNoise
from unlearnable.tasks import Depth

from ._asserts import assert_in_budget, interrupt_at, norms
from ._inputs import RADIUS, image_set, samples_of
from ._methods import RADII, arguments, build, by_rounds, for_images, for_texts, forms, make, names, surrogate
from ._tasks import many_tasks

FORMS = sorted(forms())


def test_every_configuration_is_found() -> None:
    assert {"ar", "em", "em_multi", "ops", "tap"} < set(for_images()) < set(names())
    assert {"em-classwise=true", "em-l2", "lsp-linf", "tap-targeted=false", "tap-l0"} < set(FORMS)


@pytest.mark.parametrize("name", for_images())
def test_every_method_has_a_file_of_its_own_claims(name: str) -> None:
    assert (Path(__file__).parent / f"test_{name}.py").exists()


@pytest.mark.parametrize("name", [name for name in names() if name not in for_texts()])
def test_every_poison_returns_other_samples_and_leaves_its_input(name: str, tmp_path: Path) -> None:
    clean = image_set()
    images, labels = clean.inputs.clone(), clean.labels.clone()
    changes = {}
    if arguments(name).get("path") == "???":
        torch.save(torch.full(images.shape, 2 / 255), tmp_path / "noise.pt")
        changes["path"] = str(tmp_path / "noise.pt")
    method: Poison = build(name, **changes)
    poisoned = method.apply(clean, seed=0)
    assert isinstance(poisoned, Samples)
    assert poisoned.inputs.shape == images.shape
    assert poisoned.tasks == clean.tasks
    assert torch.equal(clean.inputs, images)
    assert torch.equal(clean.labels, labels)
    assert torch.equal(poisoned.labels, labels)


def test_clean_is_clean() -> None:
    samples = image_set()
    assert build("clean").apply(samples, seed=0) is samples


@pytest.mark.parametrize("form", FORMS)
def test_keeps_the_budget_after_rounding_and_changes_every_image(form: str) -> None:
    clean, method = image_set(), make(form)
    poisoned = method.apply(clean, seed=0)
    assert_in_budget(clean, poisoned, method.radius, method.norm)
    assert (norms(clean.inputs, poisoned.inputs)["linf"] > 0).all()


# A generator is free to use less; ℓ0 noise found by descent has no step that leads to the bound.
@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("dc") and not form.endswith("-l0")])
def test_uses_the_budget(form: str) -> None:
    # A poison that uses a small part of its budget is compared unfairly. Clipping at 0 and 255 takes some away.
    clean, method = image_set(), make(form)
    poisoned = method.apply(clean, seed=0)
    assert norms(clean.inputs, poisoned.inputs)[method.norm].mean() > 0.4 * method.radius


@pytest.mark.parametrize("form", FORMS)
def test_same_seed_gives_the_same_images_whatever_else_draws(form: str) -> None:
    clean = image_set()
    state = torch.get_rng_state()
    first = make(form).apply(clean, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)  # what the global generator does in between must not matter
    second = make(form).apply(clean, seed=3)
    assert torch.equal(first.inputs, second.inputs)


# OPS searches: nothing in it is random.
@pytest.mark.parametrize("name", [name for name in for_images() if name != "ops"])
def test_another_seed_gives_other_images(name: str) -> None:
    clean = image_set()
    assert not torch.equal(*(build(name).apply(clean, seed=seed).inputs for seed in (0, 1)))


@pytest.mark.parametrize("name", for_images())
def test_a_share_changes_that_share_of_every_class_and_the_rest_stays(name: str) -> None:
    clean = image_set()
    poisoned = build(name, fraction="2/5").apply(clean, seed=0)
    changed = norms(clean.inputs, poisoned.inputs)["linf"] > 0
    # 15 images in each of 4 classes; 0.4 · 15 = 6.
    assert torch.equal(torch.bincount(clean.labels[changed], minlength=4), torch.tensor([6, 6, 6, 6]))


def test_a_share_is_one_of_all_images_where_classes_are_small() -> None:
    clean = image_set(100, classes=25)  # four of each
    for share in (0.04, 0.1, 0.15, 0.25):
        poisoned = build("random", fraction=share).apply(clean, seed=0)
        assert int((norms(clean.inputs, poisoned.inputs)["linf"] > 0).sum()) == round(100 * share)
    with pytest.raises(ValueError, match=r"`fraction` = 0\.001 of 100 images is none of them"):
        build("random", fraction=0.001).apply(clean, seed=0)


def test_a_list_of_classes_changes_these_alone() -> None:
    clean = image_set()
    poisoned = build("random", fraction=[1, 3]).apply(clean, seed=0)
    changed = norms(clean.inputs, poisoned.inputs)["linf"] > 0
    assert torch.equal(changed, (clean.labels == 1) | (clean.labels == 3))


@pytest.mark.parametrize(
    "form", [form for form in FORMS if form.startswith("ops") or getattr(make(form), "classwise", 0)]
)
def test_classwise_methods_give_one_pattern_a_class(form: str) -> None:
    clean, method = image_set(), make(form)
    coloured = method.norm == "l0" and not isinstance(method, EM)  # pixels are set to a colour of the class
    if not coloured:
        clean = clean.replace(inputs=torch.full_like(clean.inputs, 128))  # no clipping hides the pattern
    poisoned = method.apply(clean, seed=0).inputs
    shown = poisoned if coloured else poisoned.int() - clean.inputs.int()
    for label in range(4):
        members = clean.labels == label
        common = (poisoned != clean.inputs)[members].any(0)
        patterns = torch.where(common, shown[members], 0)
        assert (patterns == patterns[0]).all()


@pytest.mark.parametrize("name", for_images())
def test_an_interrupted_generation_goes_on_to_the_same_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, method = image_set(), build(name)
    whole = method.apply(clean, seed=0)
    interrupt_at(2, base, "round_to_grid", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        method.apply(clean, seed=0, work_dir=tmp_path)
    assert torch.equal(method.apply(clean, seed=0, work_dir=tmp_path).inputs, whole.inputs)


@pytest.mark.parametrize("name", by_rounds())
def test_a_generation_interrupted_between_rounds_goes_on_to_the_same_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a surrogate that draws while it trains, too."""
    more = {key: 3 for key in ("max_rounds", "rounds", "trials") if key in arguments(name)}
    if name == "mtl_ue":
        more["epochs"] = 3
    clean, method = image_set(), build(name, surrogate=surrogate("DropoutNet"), **more)
    whole = method.apply(clean, seed=0)
    with monkeypatch.context() as patched:
        interrupt_at(3, checkpoint, "save_atomically", patched)
        with pytest.raises(KeyboardInterrupt):
            method.apply(clean, seed=0, work_dir=tmp_path)
    assert torch.equal(method.apply(clean, seed=0, work_dir=tmp_path).inputs, whole.inputs)


@pytest.mark.parametrize("name", [name for name in for_images() if "surrogate" in arguments(name)])
def test_a_surrogate_that_diverged_makes_no_poison(name: str) -> None:
    with pytest.raises(ValueError, match=r"not finite: its training diverged.*poison\.lr"):
        build(name, surrogate=surrogate("DivergingNet")).apply(image_set(), seed=0)


def test_noise_that_is_not_finite_is_not_written() -> None:
    class Overflowing(RandomNoise):
        def prepare(self, data: TrainingSet) -> Perturb:
            return lambda batch, generator: torch.full_like(batch.images, torch.nan)

    for norm, radius in RADII.items():
        with pytest.raises(ValueError, match="Overflowing made noise that is not finite for the images 0 to"):
            Overflowing(norm=norm, radius=radius).apply(image_set(), seed=0)


@pytest.mark.parametrize("name", ["lsp", "random", "em"])
def test_large_sets_are_kept_in_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = image_set()
    whole = build(name).apply(clean, seed=0)
    monkeypatch.setattr(base, "RESIDENT_BYTES", 100)
    monkeypatch.setattr(training_set, "RESIDENT_BYTES", 100)
    again = build(name).apply(clean, seed=0, work_dir=tmp_path)
    assert (tmp_path / "poisoned.u8").stat().st_size == clean.inputs.numel()
    if name == "em":  # its noise is in half precision then, so other signs of gradients come out
        assert (tmp_path / "em.f16").stat().st_size == 2 * clean.inputs.numel()
        assert_in_budget(clean, again, RADIUS, "linf")
    else:
        assert torch.equal(again.inputs, whole.inputs)


def numeric(name: str, kind: str) -> list[str]:
    """The arguments of a method whose type names `kind`, and which have a value in its configuration."""
    types = inspect.signature(type(build(name)).__init__).parameters
    return [key for key in arguments(name) if key in types and kind in str(types[key].annotation) and key != "fraction"]


@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, key) for name in for_images() for key in numeric(name, "Number") + numeric(name, "int")],
)
def test_every_number_is_checked_for_its_type(name: str, argument: str) -> None:
    with pytest.raises(InstantiationException, match=f"`{argument}` must be a"):
        build(name, **{argument: True})


@pytest.mark.parametrize(
    ("name", "argument"), [(name, key) for name in for_images() for key in numeric(name, "Number")]
)
def test_every_number_may_be_a_fraction_and_none_may_be_nan(name: str, argument: str) -> None:
    # A radius of 8/255 within ℓ∞, of 4 pixels within ℓ0; 3/100 serves wherever else a number is asked for.
    text, value = ("8/2", 4) if arguments(name)["norm"] == "l0" else ("3/100", 0.03)
    assert getattr(build(name, **{argument: text}), argument) == pytest.approx(value)
    with pytest.raises(InstantiationException, match=f"`{argument}` must be a number, finite"):
        build(name, **{argument: float("nan")})


def test_data_that_a_poison_is_not_made_for_is_refused() -> None:
    clean = image_set()
    with pytest.raises(ValueError, match=r"Labels must lie in \[0, 3\); found 0 to 3"):
        RandomNoise(radius=0.1).apply(samples_of(clean.inputs, clean.labels, 3), seed=0)
    with pytest.raises(ValueError, match="at most 256 for norm 'l0' on 3×16×16"):
        build("ops", radius=257).apply(clean, seed=0)
    with pytest.raises(ValueError, match="`fraction` must name classes below 4; got \\[7\\]"):
        RandomNoise(radius=0.1, fraction=[7]).apply(clean, seed=0)
    with pytest.raises(
        ValueError, match=r"8-bit images \[n, c, h, w\]; the samples hold torch.int64 of shape \(60, 7\)"
    ):
        RandomNoise(radius=0.1).apply(samples_of(torch.zeros(60, 7).long(), clean.labels, 4), seed=0)
    depth = Samples(clean.inputs, torch.rand(60, 1, 16, 16), {"depth": Depth("depth", 1)})
    with pytest.raises(ValueError, match="RandomNoise is made against a classification, and the data have none: depth"):
        RandomNoise(radius=0.1).check(depth)


@pytest.mark.parametrize("name", [name for name in for_images() if "tasks" in arguments(name)])
def test_images_without_a_class_are_poisoned_by_methods_for_many_tasks(name: str) -> None:
    clean = many_tasks("scene", "depth")
    targets = dict(clean.targets)
    targets["scene"] = torch.where(torch.arange(len(clean)) == 5, -1, targets["scene"])
    clean = clean.replace(targets=targets)
    poisoned = build(name).apply(clean, seed=0)
    assert (norms(clean.inputs, poisoned.inputs)["linf"] > 0).all()
    half = norms(clean.inputs, build(name, fraction="1/2").apply(clean, seed=0).inputs)["linf"] > 0
    assert int(half.sum()) == 12
