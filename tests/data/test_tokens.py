"""Texts as ids: the vocabulary, padding, what changed, on disk and to the eye."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from tests._texts import shown, text_set
from unlearnable.data.modality.tokens import Tokens, changed_words, marked, word_distance
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import FIRST_WORD, PAD, SIGNS, UNKNOWN, build_vocabulary, check_words, words_of
from unlearnable.models.tiny_resnet import TinyResNet
from unlearnable.models.tiny_transformer import TinyTransformer


def test_words_are_lower_case_and_signs_stand_alone() -> None:
    assert words_of("It's a well-made film, isn't it?") == ["it's", "a", "well-made", "film", ",", "isn't", "it", "?"]
    assert words_of("moore 's ditties") == ["moore", "'s", "ditties"]
    # Letters with marks beside them are one word, and the same one however they are composed.
    assert (
        words_of("caf\u00e9, na\u00efve!")
        == words_of("cafe\u0301, nai\u0308ve!")
        == ["caf\u00e9", ",", "na\u00efve", "!"]
    )
    assert words_of("हिन्दी फ़िल्म!") == ["हिन्दी", "फ़िल्म", "!"]
    assert words_of("می\u200cخواهم") == ["می\u200cخواهم"]


def test_the_vocabulary_has_what_occurs_twice_the_most_frequent_first() -> None:
    found = build_vocabulary([["b", "a", "a", "once"], ["b", "a", "!", "!"]], most=100)
    assert found == ("<pad>", "<unk>", *SIGNS, "a", "b")  # a three times, b twice; "!" is a sign already
    assert build_vocabulary([["b", "a", "a"], ["b", "a"]], most=FIRST_WORD + 1)[FIRST_WORD:] == ("a",)


def test_the_unknown_and_words_that_are_asked_for_have_ids() -> None:
    assert words_of("A <unk> film, <pad> <UNK>") == ["a", "<unk>", "film", ",", "<", "pad", ">", "<unk>"]
    found = build_vocabulary([["b", "a", "<unk>"], ["b", "a", "<unk>"]], most=100, words=["cf", "b"])
    assert found == ("<pad>", "<unk>", *SIGNS, "cf", "b", "a")


@pytest.mark.parametrize("part", ["##s", "Ġfilm", "▁film", "Film", "a b"])
def test_parts_of_a_tokenizer_are_no_words(part: str) -> None:
    words = build_vocabulary([words_of("it's a well-made … film , naïve ß 2nd")] * 2, most=100)
    check_words(words, "This")
    with pytest.raises(ValueError, match=f"This takes texts of words, and '{part}' in the vocabulary is none"):
        check_words((*words, part), "This")


def test_texts_are_cut_padded_and_masked() -> None:
    samples = text_set(["a b a b a", "a once"], [0, 1], length=4)
    ids, mask = samples.inputs["ids"], samples.inputs["mask"]
    a, b = FIRST_WORD, FIRST_WORD + 1
    assert ids.tolist() == [[a, b, a, b], [a, UNKNOWN, PAD, PAD]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_a_batch_is_cut_to_its_longest_text() -> None:
    samples = text_set(["a b a", "a b"], [0, 1], length=9)
    inputs = Tokens(length=9).to_model(samples.inputs)
    assert inputs["ids"].shape == inputs["mask"].shape == (2, 3)
    assert inputs["ids"].dtype == torch.int64


def test_a_models_outputs_do_not_depend_on_padding() -> None:
    samples = text_set(["a b a", "a b c c a b a"], [0, 1], length=9)
    net = TinyTransformer(2, vocabulary=len(samples.vocabulary), length=9).eval()
    together = net({"ids": samples.inputs["ids"].long(), "mask": samples.inputs["mask"]})
    alone = net(Tokens(length=9).to_model(samples.select(torch.tensor([0])).inputs))
    torch.testing.assert_close(together[:1], alone)


def test_changed_words_are_counted_and_shared_by_the_clean_length() -> None:
    clean = text_set(["a b a b", "a b", "a b a a"], [0, 1, 0], length=5)
    ids = clean.inputs["ids"].clone()
    ids[0, 1] = UNKNOWN  # one of four
    ids[1, 2] = UNKNOWN  # one added to two
    poisoned = clean.replace(inputs={"ids": ids, "mask": ids != PAD})
    count, share = changed_words(clean, poisoned)
    assert count.tolist() == [1, 1, 0]
    assert share.tolist() == [0.25, 0.5, 0.0]
    noise = Tokens(length=5).describe(clean, poisoned)
    # Two of three texts; (0.25 + 0.5) / 2 of the words of those.
    assert noise == {"texts": 3, "changed": 2 / 3, "tokens_mean": 0.375, "tokens_max": 0.5, "words_mean": 1.0} | {
        "changed": pytest.approx(2 / 3)
    }


def test_changes_are_marked() -> None:
    assert marked(["a", "dull", "film"], ["a", "fine", "film", "!"]) == "a [dull→fine] film [+!]"
    assert marked(["a", "b"], ["a"]) == "a [−b]"
    # One word is put in, and not each after it replaced.
    assert marked(["a", "dull", "film"], ["a", "very", "dull", "film"]) == "a [+very] dull film"
    assert marked(["a", ",", "b", ",", "c"], ["a", "b", "c"]) == "a [−,] b [−,] c"


def test_the_fewest_changes_are_counted_and_marked() -> None:
    generator = torch.Generator().manual_seed(0)
    before, after = (torch.randint(1, 5, (60, size), generator=generator) for size in (6, 7))
    for ids in (before, after):
        ids[torch.arange(ids.shape[1]) >= torch.randint(1, 8, (60, 1), generator=generator)] = PAD
    found = word_distance(before, after)
    for row in range(60):
        one, other = (tuple(ids[row][ids[row] != PAD].tolist()) for ids in (before, after))

        @cache
        def distance(i: int, j: int, one: tuple[int, ...] = one, other: tuple[int, ...] = other) -> int:
            """The definition, for the first i and j words."""
            if i == 0 or j == 0:
                return i + j
            replaced = distance(i - 1, j - 1) + (one[i - 1] != other[j - 1])
            return min(replaced, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

        assert int(found[row]) == distance(len(one), len(other))
        assert marked([*map(str, one)], [*map(str, other)]).count("[") == int(found[row])


def test_a_word_put_in_counts_as_one() -> None:
    clean = text_set(["a b a b", "b a b a"], [0, 1], length=6)
    ids = torch.tensor([[FIRST_WORD + 1, *clean.inputs["ids"][0, :5]], clean.inputs["ids"][1].tolist()]).int()
    count, share = changed_words(clean, clean.replace(inputs={"ids": ids, "mask": ids != PAD}))
    assert (count.tolist(), share.tolist()) == ([1, 0], [0.25, 0.0])


def test_the_preview_shows_changed_texts_of_each_class(tmp_path: Path) -> None:
    clean = text_set(["a b", "a b", "a b"], [0, 0, 1], length=4)
    ids = clean.inputs["ids"].clone()
    ids[1, 0] = FIRST_WORD + 1
    path = Tokens(length=4).preview(clean, clean.replace(inputs={"ids": ids, "mask": ids != PAD}), tmp_path)
    # Of class 0 the changed text alone; none of class 1 is changed, so one as it is.
    assert path.read_text() == "class 0: [a→b] b\nclass 1: a b\n"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clean = text_set(["a b", "a b b"], [0, 1])
    tokens = Tokens()
    tokens.write(tmp_path, clean.inputs)
    again = clean.replace(inputs=tokens.read(tmp_path))
    assert (again.fingerprint, shown(again)) == (clean.fingerprint, ["a b", "a b b"])


def test_the_words_behind_ids_are_part_of_the_fingerprint() -> None:
    clean = text_set(["a b", "a b"], [0, 1])
    other = Samples(clean.inputs, clean.targets, clean.tasks, (*clean.vocabulary[:-1], "c"))
    assert other.fingerprint != clean.fingerprint


def test_selections_keep_the_vocabulary() -> None:
    clean = text_set(["a b", "a b"], [0, 1])
    assert clean.select(torch.tensor([1])).vocabulary == clean.focused("class").vocabulary == clean.vocabulary


def test_a_network_is_told_the_number_of_words_and_one_for_images_is_refused() -> None:
    clean = text_set(["a b", "a b"], [0, 1])
    assert Tokens(length=7).network(TinyTransformer, clean)(2).embed.num_embeddings == len(clean.vocabulary)
    with pytest.raises(ValueError, match=r"TinyResNet is no network for texts.*model=tiny_transformer"):
        Tokens().network(TinyResNet, clean)


def test_images_are_no_texts() -> None:
    with pytest.raises(ValueError, match="token ids with their mask; the data hold a tensor"):
        Tokens().to_model(torch.zeros(1, 3, 4, 4))
