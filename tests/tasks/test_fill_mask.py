"""FillMask: the tokens and scores of transformers' fill-mask pipeline."""

import numpy as np
import pytest
import transformers

from minibert import BertForMaskedLM, Tokenizer
from minibert.tasks.fill_mask import FillMask
from tests.conftest import randomize, small_model, small_variant
from tests.tasks.test_variants import KINDS
from tests.text.kinds import write_folder

QUICK = ["bert", "distilbert", "roberta", "electra", "albert"]
EACH = [
    kind
    if kind[0] in QUICK and kind != ("roberta", "BertTokenizer")
    else pytest.param(kind, marks=pytest.mark.slow)
    for kind in [("bert", "BertTokenizer"), *KINDS]
]


def masked_lm(tokenizer, family="bert", **changes):
    """A small random model of this family for this tokenizer."""
    sizes = {
        "vocab_size": max(tokenizer.tokens) + 1,
        "pad_token_id": tokenizer.pad_token_id,
        **changes,
    }
    return randomize(BertForMaskedLM(small_variant(family, **sizes).config), 0)


@pytest.fixture(scope="module", params=EACH, ids="-".join)
def both(request, tokenizer, tmp_path_factory):
    """(ours, opened again after `save`; the pipeline of transformers on what it wrote)."""
    family, name = request.param
    folder = tmp_path_factory.mktemp(family)
    if name != "BertTokenizer":
        tokenizer = Tokenizer.from_pretrained(write_folder(folder / "tokenizer", name))
    FillMask(masked_lm(tokenizer, family), tokenizer).save(folder / "model")
    theirs = transformers.pipeline("fill-mask", str(folder / "model"), device="cpu")
    return FillMask.load(folder / "model"), theirs


@pytest.fixture(scope="module")
def fill(tokenizer):
    return FillMask(masked_lm(tokenizer), tokenizer)


def beginning(sequence):
    """A sequence by which no one can tell whether something stood before it."""
    return sequence.strip().removeprefix("##")


def check(ours, theirs, texts, parity, **settings):
    """The same tokens, sequences and scores."""
    found = ours.predict(texts, **settings)
    assert len(found) == len(texts)
    worst = 0.0
    for text, masks in zip(texts, found, strict=True):
        expected = theirs(text, **settings)
        expected = expected if len(masks) > 1 else [expected]
        assert len(masks) == len(expected) == text.count(ours.mask_token)
        for got, wanted in zip(masks, expected, strict=True):
            assert [fill.token_id for fill in got] == [each["token"] for each in wanted]
            assert [fill.token for fill in got] == [each["token_str"] for each in wanted]
            sequences = [each["sequence"] for each in wanted]
            if len(masks) == 1:
                assert [fill.sequence for fill in got] == sequences
            else:  # theirs shows the frame of such a text
                v = ours.tokenizer.vocabulary
                inside = [
                    each.removeprefix(v.cls_token).removesuffix(v.sep_token) for each in sequences
                ]
                assert [beginning(fill.sequence) for fill in got] == list(map(beginning, inside))
            misses = [fill.score - each["score"] for fill, each in zip(got, wanted, strict=True)]
            worst = max(worst, *map(abs, misses))
    parity.at_most(f"FillMask, {ours.model.config.model_type}: scores", worst)


def test_tokens_and_scores_are_those_of_transformers(both, parity):
    ours, theirs = both
    mask = ours.mask_token
    texts = [f"a good {mask} of it.", f"{mask} is it", f"{mask} and no {mask}, {mask}!", mask]
    check(ours, theirs, texts[:3], parity, top_k=5)
    check(ours, theirs, texts[3:], parity, top_k=1)


def test_targets_are_those_of_transformers(both, parity):
    ours, theirs = both
    tokens = [
        token for token in ours.tokenizer.ids if token not in ours.tokenizer.vocabulary.special
    ]
    texts = [f"a good {ours.mask_token} of it.", f"no {ours.mask_token} {ours.mask_token}"]
    check(ours, theirs, texts, parity, targets=tokens[20:23])
    check(ours, theirs, texts[:1], parity, targets=tokens[20:27], top_k=3)


def test_a_word_is_found_as_the_tokenizer_has_it(both):
    """An entry of the vocabulary, or a text of one token: in a RoBERTa " it" begins a word."""
    ours, _ = both
    for target in ("it", " it"):
        ((found,),) = ours.predict([f"what {ours.mask_token}"], targets=[target])[0]
        assert found.token.strip() == "it" and found.sequence.endswith("it")


def test_a_long_text_is_read_around_each_mask(fill):
    room = fill.max_length - 2  # 38
    words = ["one", "two", "three", "four"] * 40
    places, starts = [3, 19, 80, 141, 157], [0, 0, 80 - 19, 160 - room, 160 - room]
    for place in places:
        words[place] = "[MASK]"
    text = " ".join(words)
    found = fill.predict([text], top_k=3)[0]
    for mask, place, start in zip(found, places, starts, strict=True):
        part = words[start : start + room]
        (alone,) = fill.predict([" ".join(part)], top_k=3)
        wanted = alone[part[: place - start].count("[MASK]")]
        assert [each.token_id for each in mask] == [each.token_id for each in wanted]
        np.testing.assert_allclose(
            [each.score for each in mask], [each.score for each in wanted], atol=1e-6
        )
    for place, (film,) in zip(places, fill.predict([text], targets=["film"])[0], strict=True):
        assert film.sequence.split() == [*words[:place], "film", *words[place + 1 :]]


def test_only_the_scores_of_masks_are_computed(fill):
    head, rows = fill._engine.optimized(fill.model).masked_lm, []
    hook = head.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    fill.predict(["one [MASK] two three", "[MASK] [MASK]", "four five six seven [MASK]"])
    hook.remove()
    assert sum(rows) == 4


def test_in_bfloat16_the_scores_are_nearly_the_same(fill, tokenizer):
    rough = FillMask(fill.model, tokenizer, precision="bf16")
    targets = ["film", "book", "house"]
    exact, near = (
        sorted((each.token, each.score) for each in f.predict(["a [MASK]"], targets=targets)[0][0])
        for f in (fill, rough)
    )
    assert [token for token, _ in exact] == [token for token, _ in near] == sorted(targets)
    np.testing.assert_allclose(
        [np.log(score) for _, score in near], [np.log(score) for _, score in exact], atol=0.5
    )


def test_any_stream_is_read_as_it_comes(fill):
    texts = (f"number {i} is [MASK]" for i in range(5))
    for i, (text, masks) in enumerate(fill.stream(texts, top_k=2, window=1)):
        assert text == f"number {i} is [MASK]" and len(masks) == 1 and len(masks[0]) == 2
        if i == 2:
            break
    assert next(texts) == "number 3 is [MASK]", "no text is read ahead"
    assert fill.predict([]) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("nothing here", r"text 2, 'nothing here', has no \[MASK\]; write it where"),
        ("wrong <mask>", r"has no \[MASK\]"),
        (("a [MASK]", "b"), "text 2 is a tuple; give a string"),
        (None, "text 2 is None, a NoneType"),
    ],
)
def test_what_is_finished_is_kept(fill, bad, message):
    with pytest.raises(ValueError, match=message) as caught:
        fill.predict(["one [MASK]", "two [MASK]", bad, "four [MASK]"])
    assert caught.value.finished == fill.predict(["one [MASK]", "two [MASK]"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": 0}, "top_k is 0; it must be a whole number of at least 1"),
        ({"top_k": 30523}, "top_k is 30523; the vocabulary has 30522 tokens"),
        ({"targets": []}, "targets is empty"),
        ({"targets": "film"}, "targets is the string 'film'; give a list"),
        ({"targets": ["film", "unaffordable"]}, "'unaffordable' is 4 tokens, 'una', '##ff', '##or"),
        ({"targets": ["\u1400"]}, "is not in the vocabulary; a mask stands for one token"),
        ({"targets": [" "]}, "' ' is not in the vocabulary"),
        ({"targets": [3]}, "a target is 3, a int"),
        ({"targets": ["film", "Film"]}, "'film' and 'Film', which are the same token"),
        ({"window": 0}, "window is 0"),
    ],
)
def test_bad_settings_are_refused_before_a_text_is_read(fill, settings, message):
    texts = iter(["one [MASK]"])
    with pytest.raises(ValueError, match=message):
        fill.stream(texts, **settings)
    assert next(texts) == "one [MASK]"


def test_a_row_of_the_table_without_a_token_is_never_the_answer(tokenizer, fill):
    model = masked_lm(tokenizer, vocab_size=30540)
    model.masked_lm.bias.data[30522:] = 100.0
    found = FillMask(model, tokenizer).predict(["a [MASK]"], top_k=30522)[0][0]
    assert max(each.token_id for each in found) == 30521
    with pytest.raises(ValueError, match="the vocabulary has 30522 tokens"):
        FillMask(model, tokenizer).predict(["a [MASK]"], top_k=30523)


@pytest.mark.filterwarnings("ignore:.*has no weights for")
def test_a_checkpoint_without_the_head_is_refused(minilm):
    with pytest.raises(ValueError, match="no trained weights for .*masked_lm.*roberta-base"):
        FillMask.load(minilm)


def test_other_parts_are_refused(fill, tokenizer):
    with pytest.raises(ValueError, match="type BertForClassification .* give a BertForMaskedLM"):
        FillMask(small_model(), tokenizer)
    for max_length in (2, 41):
        with pytest.raises(ValueError, match=f"max_length is {max_length}; .* 3"):
            FillMask(fill.model, tokenizer, max_length=max_length)
    with pytest.raises(ValueError, match="'fp8'"):
        FillMask.load("nowhere", precision="fp8")


def test_an_output_that_exists_is_kept(fill, tmp_path):
    fill.save(tmp_path / "model")
    with pytest.raises(FileExistsError):
        fill.save(tmp_path / "model")
    short = FillMask(fill.model, fill.tokenizer, max_length=12)
    short.save(tmp_path / "model", overwrite=True)
    again = FillMask.load(tmp_path / "model")
    assert again.max_length == 12
    assert again.predict(["a [MASK]"]) == fill.predict(["a [MASK]"])
