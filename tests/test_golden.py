"""The published outputs: the checker is right for a model we can compute them for, and can fail."""

import os
import subprocess
import sys

import pytest
import torch
import transformers

from minibert import BertForClassification, BertForMaskedLM, BertModel, golden
from minibert.checkpoint.sizes import SIZES
from minibert.tokenizer import WordPieceTokenizer
from tests import CALLERS_ENVIRONMENT
from tests.conftest import hf_model, small_variant


@pytest.fixture(scope="module")
def model(minilm, tmp_path_factory):
    """A random masked language model with the real uncased vocabulary."""
    folder = tmp_path_factory.mktemp("golden")
    reference = hf_model("BertForMaskedLM", vocab_size=30522)
    reference.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(folder)
    fill = transformers.pipeline("fill-mask", model=reference, tokenizer=tokenizer)
    texts = ("the man worked as a [MASK].", "[MASK] is a word.")
    published = {
        text: tuple(golden.Answer(a["token_str"], a["token"], a["score"]) for a in fill(text))
        for text in texts
    }
    return folder, published


def test_answers_are_those_of_transformers_pipeline(model, parity):
    folder, published = model
    for check in golden.check_answers(folder, published):
        assert check.passed, check
        parity.at_most("fill-mask pipeline, probabilities", check.difference)


@pytest.mark.parametrize("change", ["score", "order", "token"])
def test_another_answer_fails(model, change):
    folder, published = model
    text, (first, second, *rest) = next(iter(published.items()))
    if change == "score":
        answers = (first._replace(score=first.score + 2e-4), second, *rest)
    elif change == "order":
        answers = (second, first, *rest)
    else:
        answers = (first._replace(token="nobody"), second, *rest)
    (check,) = golden.check_answers(folder, {text: answers})
    assert not check.passed


KINDS = {
    "last_hidden_state[0, 1:4, 1:4]": ("Model", BertModel, (0,), 1),
    "logits of the masked LM[0, :3, :3]": ("ForMaskedLM", BertForMaskedLM, (), 0),
    "logits[0]": ("ForSequenceClassification", BertForClassification, (), 0),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("family", ["DistilBert", "Roberta", "Electra", "Albert"])
def test_a_corner_of_an_output_is_transformers(family, name, tmp_path):
    """And its neighbour is not."""
    kind, ours, hidden, start = KINDS[name]
    settings = {"hidden_size": 48, "num_attention_heads": 4, "num_labels": 4, "vocab_size": 50}
    small = {"num_hidden_layers": 2, "intermediate_size": 96, "embedding_size": 16}
    config = getattr(transformers, f"{family}Config")(**settings, **small, initializer_range=0.2)
    config.pad_token_id = 0
    torch.manual_seed(0)
    model = getattr(transformers, family + kind)(config).eval()
    model.save_pretrained(tmp_path / "m")
    ids = torch.tensor([[2, 34, 23, 32, 7, 14, 3]])
    mask = torch.ones_like(ids)
    mask[0, list(hidden)] = 0
    output = model(ids, attention_mask=mask)[0][0]
    square = slice(start, start + 3)
    part = output[None] if name == "logits[0]" else output[square, square]
    values = tuple(map(tuple, part.tolist()))
    corner = golden.Corner(ours, tuple(ids[0].tolist()), hidden, start, values)
    assert corner.name == name
    (_, difference, limit, passed) = golden.check_corner(tmp_path / "m", corner)
    assert passed and difference <= 1e-5 < limit
    wrong = corner._replace(values=tuple(reversed([tuple(reversed(row)) for row in values])))
    assert not golden.check_corner(tmp_path / "m", wrong).passed


def test_each_model_that_is_known_has_its_outputs():
    assert {*golden.CORNERS, *golden.ANSWERS} == set(golden.KNOWN)
    for (family, vocabulary, _), name in golden.NAMES.items():
        if name in SIZES:
            assert SIZES[name].model_type == family and SIZES[name].vocabulary == vocabulary
    for corners in golden.CORNERS.values():
        assert all(len(set(map(len, corner.values))) == 1 for corner in corners)


def test_a_model_without_published_outputs_says_which_have_some(tmp_path):
    small_variant("electra", vocab_size=50).bert.save_pretrained(tmp_path / "m")
    text, code = golden.report([str(tmp_path / "m")])
    assert code == 2 and "a model of the family ELECTRA with a vocabulary of 50" in text
    assert "roberta-base" in text


def test_other_weights_fail_the_report():
    """minilm-l6 has bert-base-uncased's vocabulary and is another model."""
    text, code = golden.report(["minilm-l6"])
    assert code == 1
    assert "FAIL" in text and "torch" in text
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in text


@pytest.mark.filterwarnings("ignore:.*does not say whether")
def test_models_that_cannot_be_checked_are_said(shared):
    text, code = golden.report(["nowhere/at-all", str(shared / "bert-base-cased")])
    assert code == 2 and text.count("NOT CHECKED") == 2
    assert "hub" in text and "model.safetensors" in text


@pytest.mark.filterwarnings("ignore:.*does not say whether")
def test_published_answers_are_tokens_of_the_vocabulary(shared):
    tokens = WordPieceTokenizer.from_pretrained(shared / "bert-base-cased").tokens
    for answers in golden.CASED.values():
        assert [tokens[answer.id] for answer in answers] == [answer.token for answer in answers]


@pytest.mark.golden
def test_the_real_weights():
    """MINIBERT_GOLDEN: folders or names; without it both come from the hub."""
    names = os.environ.get("MINIBERT_GOLDEN", "").split(os.pathsep)
    result = subprocess.run(
        [sys.executable, "-m", "minibert.golden", *filter(None, names)],
        env=CALLERS_ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
