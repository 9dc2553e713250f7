from __future__ import annotations

import pytest

from tests._texts import shown, text_set
from unlearnable.poisons.symbol import Symbol


def test_each_class_has_its_sign_at_the_end() -> None:
    clean = text_set(["a b", "a", "a b a"], [0, 1, 2], length=4, classes=3)
    assert shown(Symbol().apply(clean, seed=0)) == ["a b !", "a @", "a b a #"]


def test_a_full_text_has_the_sign_in_the_place_of_its_last_word() -> None:
    clean = text_set(["a b a b", "b a"], [1, 0], length=4)
    assert shown(Symbol().apply(clean, seed=0)) == ["a b a @", "b a !"]


def test_more_classes_than_signs_are_refused() -> None:
    with pytest.raises(ValueError, match="There are 32 signs for 33 classes"):
        Symbol().check(text_set(["a a", "b b"], [0, 1], classes=33))
