"""Next-token prediction against cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tests._inputs import seeded
from tests._texts import text_set
from unlearnable.data.batches import Batches
from unlearnable.data.modality.tokens import Tokens
from unlearnable.data.vocabulary import FIRST_WORD
from unlearnable.models.judging import TaskMetrics, judge_priors
from unlearnable.tasks import Classification, NextToken, TaskLoss
from unlearnable.tasks.next_token import next_tokens


def test_a_tokens_target_is_what_follows_it_in_its_text() -> None:
    ids = torch.tensor([[5, 6, 7], [8, 0, 0]], dtype=torch.int32)
    assert next_tokens(ids, ids > 0).tolist() == [[6, 7, -1], [-1, -1, -1]]


def test_batches_of_texts_have_the_next_tokens_for_targets_cut_with_them() -> None:
    samples = text_set(["a b a", "a b"], [0, 1], length=9)
    tokens = Tokens(length=9).predicting("next_token", samples)
    assert tokens.own_task == NextToken("next_token", len(samples.vocabulary))
    ((inputs, targets),) = Batches(samples, tokens, 2)
    a, b = FIRST_WORD, FIRST_WORD + 1
    assert inputs["ids"].tolist() == [[a, b, a], [a, b, 0]]
    assert targets.tolist() == [[b, a, -1], [b, -1, -1]]


def test_the_loss_is_the_mean_over_tokens_not_over_texts() -> None:
    # Text 0 has three tokens to predict, each with probability 1/2; text 1 one with 1/4: (3 log 2 + log 4) / 4.
    task = NextToken("t", 4)
    probabilities = torch.tensor([[1 / 2, 1 / 6, 1 / 6, 1 / 6]] * 3 + [[1 / 4] * 4]).log()
    output = torch.stack([probabilities[[0, 1, 2]], probabilities[[3, 0, 0]]])
    target = torch.tensor([[0, 0, 0], [2, -1, -1]])
    assert task.loss(output, target).item() == pytest.approx(5 * math.log(2) / 4)
    assert int(TaskLoss(task).batch_weight(target)) == 4


def test_perplexity_and_accuracy_are_over_the_tokens_of_all_batches() -> None:
    # As above, in two batches: perplexity exp(5/4 log 2); three of four tokens have the largest score.
    metrics = TaskMetrics(NextToken("t", 4))
    row = torch.tensor([1 / 2, 1 / 6, 1 / 6, 1 / 6]).log()
    metrics.update(row.expand(1, 3, 4), torch.tensor([[0, 0, 0]]))
    metrics.update(torch.zeros(1, 2, 4), torch.tensor([[2, -1]]))
    metrics.update(torch.zeros(1, 2, 4), torch.tensor([[-1, -1]]))  # a text of one word
    found = metrics.compute()
    assert float(found["perplexity"]) == pytest.approx(2**1.25)
    # A token whose probability single precision can not hold counts with its cross-entropy.
    metrics, scores = TaskMetrics(NextToken("t", 4)), torch.zeros(1, 2, 4)
    scores[..., 0] = 120.0
    metrics.update(scores, torch.tensor([[1, 0]]))
    assert float(metrics.compute()["perplexity"].log()) == pytest.approx(60.0)
    assert float(found["token_acc"]) == pytest.approx(3 / 4)


def test_the_prior_is_how_frequent_tokens_are_and_none_is_impossible() -> None:
    # Token 2 three times, 1 once, each with one more: shares 1, 2, 4 of 7. Test: 2 and 0.
    train, test = torch.tensor([[2, 2, -1], [2, 1, -1]]), torch.tensor([[2, 0, -1]])
    task = NextToken("t", 3)
    assert task.priors(train)["constant"].exp()[0, 0].tolist() == pytest.approx([1 / 7, 2 / 7, 4 / 7])
    found = judge_priors(task, train, test)["constant"]
    assert found["perplexity"] == pytest.approx(math.sqrt(7 * 7 / 4))
    assert found["token_acc"] == 0.5


def test_texts_of_one_word_have_loss_zero_and_no_weight() -> None:
    task, target = NextToken("t", 3), torch.full((2, 4), -1)
    output = torch.randn(2, 4, 3, generator=seeded(0), requires_grad=True)
    loss = task.loss(output, target)
    loss.backward()
    assert loss.item() == int(task.weight(target)) == 0
    assert output.grad is not None
    assert not output.grad.any()
    with pytest.raises(ValueError, match="No training text has two words"):
        Tokens(length=9).predicting("next_token", text_set(["a", "a"], [0, 1]))


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="Use model=tiny_gpt"):
        NextToken("t", 3).loss(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="is for task=next_token"):
        Classification("t", 3).loss(torch.zeros(2, 4, 3), torch.zeros(2, dtype=torch.int64))
