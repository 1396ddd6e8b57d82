"""The published outputs: the checker is right for a model we can compute them for, and can fail."""

import os
import subprocess
import sys

import pytest
import transformers

from minibert import golden
from minibert.tokenizer import WordPieceTokenizer
from tests import CALLERS_ENVIRONMENT
from tests.conftest import hf_model


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
