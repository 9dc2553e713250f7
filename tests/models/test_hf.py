"""Models of transformers: what they are given, what SAL finds in them, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests._language_models import TEXTS, model_folder, tokenizer_folder
from tests._texts import many
from unlearnable.data.batches import Batches
from unlearnable.data.modality.tokens import Tokens
from unlearnable.data.samples import Samples
from unlearnable.data.tokenizer import TokenIds, Tokenizer
from unlearnable.data.vocabulary import SIGNS, build_vocabulary, encode
from unlearnable.measures.sal import measure_sal
from unlearnable.models.hf import HuggingFace, hf_model
from unlearnable.probing.layers import select_layers
from unlearnable.tasks import Classification, NextToken, TaskLoss

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    return tokenizer_folder(model_folder(folder, "bert"), framed=True)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    return tokenizer_folder(model_folder(folder, "gpt2"), framed=False)


def split_by(folder: Path, length: int = 8) -> tuple[Samples, Tokens]:
    """The texts as `dataset.tokenizer` has them."""
    tokens = Tokens(length=length, tokenizer=Tokenizer(folder))
    assert tokens.tokenizer is not None
    texts = [tokens.tokenizer.split(text) for text in TEXTS]
    vocabulary = build_vocabulary(texts, most=100, least=1)
    tasks = {"class": Classification("class", 2)}
    return Samples(encode(texts, vocabulary, length=length), torch.tensor([1, 0] * 3), tasks, vocabulary), tokens


def test_a_tokenizer_says_what_its_model_calls_the_vocabulary(bert: Path) -> None:
    tokenizer = Tokenizer(bert)
    assert tokenizer.split("Good films, a REST") == ["good", "film", "##s", "[UNK]", "a", "rest"]
    found = tokenizer.ids(("<pad>", "<unk>", "!", ",", "##s"))
    assert found == TokenIds((2, 0, 8, 0, 9), padding=2, before=(3,), after=(4,))


def test_texts_come_to_a_local_model_as_its_own_tokenizer_gives_them(bert: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    samples, tokens = split_by(bert)
    torch.manual_seed(0)
    net = tokens.network(partial(hf_model, path=bert), samples)(2).eval()
    torch.manual_seed(0)
    own = AutoModelForSequenceClassification.from_pretrained(bert).eval()
    batch = AutoTokenizer.from_pretrained(bert)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = own(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        torch.testing.assert_close(net(tokens.to_model(samples.inputs)), expected)


def test_a_local_language_model_scores_the_words_of_the_vocabulary(gpt2: Path) -> None:
    from transformers import AutoModelForCausalLM

    samples, tokens = split_by(gpt2)
    net = tokens.network(partial(hf_model, path=gpt2, predicts="next_token"), samples)(len(samples.vocabulary)).eval()
    own = AutoModelForCausalLM.from_pretrained(gpt2).eval()
    with torch.no_grad():
        found = net(tokens.to_model(samples.inputs))[0, :3]
        scores = own(input_ids=torch.tensor([[5, 6, 1]])).logits[0]  # a good film
    good, film = samples.vocabulary.index("good"), samples.vocabulary.index("film")
    torch.testing.assert_close(found[:, [good, film]], scores[:, [6, 1]])


@pytest.mark.parametrize(
    ("name", "first", "others"),
    [
        (
            "gpt2",
            ["model.transformer.wte", "model.transformer.wpe"],
            ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"],
        ),
        (
            "llama",
            ["model.model.embed_tokens"],
            ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
            + ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"],
        ),
    ],
)
def test_layers_of_language_models_are_all_matrices_tied_ones_once(
    name: str, first: list[str], others: list[str]
) -> None:
    net = hf_model(40, name=name, predicts="next_token", vocabulary=40, length=12, width=16, depth=1, heads=2)
    block = f"model.{'transformer.h' if name == 'gpt2' else 'model.layers'}.0."
    head = [] if name == "gpt2" else ["model.lm_head"]  # GPT-2's is its embedding
    found = select_layers(net)
    assert [layer.name for layer in found] == [*first, *(block + other for other in others), *head]
    assert sum(layer.size for layer in found) == sum(p.numel() for p in net.parameters() if p.ndim > 1)


def test_sal_of_a_causal_model_and_of_a_classifier_is_that_of_full_passes() -> None:
    samples = many(12)
    size = len(samples.vocabulary)
    options = {"vocabulary": size, "length": 12, "width": 16, "depth": 1, "heads": 2}
    torch.manual_seed(0)
    causal = hf_model(size, name="gpt2", predicts="next_token", **options)
    tokens = Tokens(length=12)
    next_token = tokens.predicting("next_token", samples)
    cases = [
        (causal, TaskLoss(NextToken("next_token", size)), Batches(samples, next_token, 6)),
        (hf_model(2, name="gpt2", **options), F.cross_entropy, Batches(samples, tokens, 6)),
    ]
    for net, loss, batches in cases:
        replayed, full = (measure_sal(net, loss, batches, steps=1, replay=replay) for replay in (True, False))
        assert (replayed.values > 0).all()
        assert replayed.values == pytest.approx(full.values, rel=1e-3, abs=1e-6)
        assert replayed.forwards < full.forwards


def test_padding_changes_no_score() -> None:
    torch.manual_seed(0)
    options = {"vocabulary": 40, "length": 12, "width": 16, "depth": 1, "heads": 2}
    ids = torch.tensor([[35, 36, 37, 0, 0]])
    for name, predicts in (("gpt2", "next_token"), ("gpt2", None), ("bert", None)):
        net = hf_model(40, name=name, predicts=predicts, **options).eval()
        padded, alone = net({"ids": ids, "mask": ids > 0}), net({"ids": ids[:, :3], "mask": ids[:, :3] > 0})
        torch.testing.assert_close(padded[:, :3], alone[:, :3])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "either model.path"),
        ({"name": "gpt2", "path": "."}, "either model.path"),
        ({"name": "gpt3"}, "similar: .*gpt2"),
        ({"name": "albert", "predicts": "next_token"}, "AutoModelForCausalLM"),
        ({"name": "bert", "predicts": "next_token"}, "it is not causal"),
        ({"name": "gpt2", "width": 10}, "num_heads"),
    ],
)
def test_architectures_that_are_not_there_or_not_for_the_task_are_refused(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        hf_model(2, vocabulary=40, length=12, **{"width": 16, "depth": 1, "heads": 4, **options})


def test_local_models_that_are_not_for_the_texts_are_refused(gpt2: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config.json and weights as .safetensors"):
        hf_model(2, path=tmp_path)
    with pytest.raises(ValueError, match=r"give dataset.tokenizer="):
        hf_model(2, path=gpt2)
    with pytest.raises(ValueError, match=r"`dataset.length` = 20 is more than .* positions for: 16"):
        hf_model(2, path=gpt2, tokens=TokenIds((2, 0), 2), vocabulary=2, length=20)
    with pytest.raises(ValueError, match=r"token ids up to 13, but .* has 13 entries"):
        hf_model(2, path=gpt2, tokens=TokenIds((2, 13), 2), vocabulary=2, length=8)
    plain = model_folder(tmp_path / "plain", "gpt2")
    with pytest.raises(ValueError, match=r"token ids up to 39, but .* use a smaller dataset.vocabulary"):
        hf_model(2, path=plain, vocabulary=40, length=8)
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"pytorch_model.bin"):
        hf_model(2, path=plain, vocabulary=13, length=8)
    with pytest.raises(FileNotFoundError, match="must name a local folder"):
        Tokenizer(tmp_path / "nowhere")


def test_code_in_a_folder_is_not_run(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "gpt2")
    (folder / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}')
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match="cannot be read by transformers"):
        hf_model(2, path=folder, vocabulary=13, length=8)
    assert not (tmp_path / "ran").exists()


def test_images_are_refused() -> None:
    net = hf_model(2, name="gpt2", vocabulary=40, length=8, width=16, depth=1, heads=2)
    assert isinstance(net, HuggingFace)
    with pytest.raises(ValueError, match="model=hf is for texts"):
        net(torch.zeros(2, 3, 8, 8))


def test_signs_have_ids_whether_a_tokenizer_has_them_or_not(gpt2: Path) -> None:
    samples, tokens = split_by(gpt2)
    assert tokens.tokenizer is not None
    found = tokens.tokenizer.ids(samples.vocabulary)
    assert found.ids[2 + SIGNS.index("!")] == 8
    assert found.ids[2 + SIGNS.index("@")] == 0  # the unknown
