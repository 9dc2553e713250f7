"""Protocols are frozen: what they mean has a digest, and the published ones are held here."""

from __future__ import annotations

import json

import pytest

from tests._inputs import ROOT
from unlearnable.identity import plain
from unlearnable.sharing.protocols import composed, differences, digest, protocol, protocol_digest, protocols

#: Published. If one differs, records by it are no longer comparable: undo the change, or give the protocol file the old
#: value, or list a new option with its neutral value in `_ADDED_SINCE`. What shall mean something else is a new protocol.
PUBLISHED = {
    "cifar10-cpu-v1": "50439d849a86942943eca4e90507c760",
    "cifar10-v1": "3b65fe81c035e10919518fed59b657a5",
    "digits-v1": "eebd420fac7e809af24caa302066881a",
    "rooms-v1": "7e902e61563f0f232203a2b443d2ab23",
    "sst2-v1": "1a5b49b862afe22ed764c9afd94ade5c",
}


def test_no_published_protocol_has_changed() -> None:
    assert {name: protocol_digest(name) for name in protocols()} == PUBLISHED


@pytest.mark.parametrize(
    "override",
    [
        "model.optimizer.lr=0.1",
        "dataset.subset=700",
        "sal.samples=256",
        "eps=0.1",
        "trainer.max_epochs=16",
        "defense=jpeg",
    ],
)
def test_a_change_of_meaning_changes_the_digest_and_is_refused(override: str) -> None:
    changed = plain(composed("protocol=digits-v1", override))
    assert digest(changed) != PUBLISHED["digits-v1"]
    assert differences(changed, "digits-v1")
    with pytest.raises(ValueError, match="digits-v1 is frozen"):
        protocol("digits-v1", override)


def test_what_a_protocol_leaves_open_does_not_change_the_digest() -> None:
    free = ("poison=ops", "seed=3", "store.dir=elsewhere", "trainer.accelerator=cpu", "dataset.budget.linf=0.1")
    assert digest(plain(protocol("digits-v1", *free))) == PUBLISHED["digits-v1"]


def test_moving_a_class_and_a_new_option_that_is_null_change_no_digest() -> None:
    config = plain(protocol("digits-v1"))
    config["dataset"]["_target_"] = "unlearnable.data.elsewhere.Digits"
    config["model"]["new"] = None
    assert digest(config) == PUBLISHED["digits-v1"]
    config["model"]["new"] = 1
    assert digest(config) != PUBLISHED["digits-v1"]


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("cifar10-cpu-v1", ["experiment=cifar10_cpu"]),
        ("cifar10-v1", ["experiment=cifar10"]),
        ("rooms-v1", ["dataset=rooms", "task=multi"]),
        ("sst2-v1", ["experiment=sst2"]),
    ],
)
def test_the_experiments_that_documents_show_are_still_those_of_the_protocols(name: str, overrides: list[str]) -> None:
    assert differences(plain(composed(*overrides)), name) == []


def test_the_committed_runs_were_made_by_the_protocol() -> None:
    path = ROOT / "docs" / "results" / "cifar10_five_seeds" / "configuration.json"
    assert differences(json.loads(path.read_text()), "cifar10-cpu-v1") == []


def test_an_unknown_protocol_is_refused_by_name() -> None:
    with pytest.raises(
        ValueError, match="must be one of cifar10-cpu-v1, cifar10-v1, digits-v1, rooms-v1, sst2-v1; got 'digits'"
    ):
        protocol("digits")
