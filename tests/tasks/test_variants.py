"""The tasks with every family: fitted, saved, loaded, and the same to transformers."""

import json
import warnings

import numpy as np
import pytest
import torch
import transformers

import minibert
from minibert import TextClassifier, TextEncoder, Tokenizer
from tests.conftest import FAMILIES, TEXTS, small_variant
from tests.tasks.conftest import HALF, LABELS, new
from tests.text.kinds import write_folder

pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]

PAIRS = [(text, "not so bad after all") for text in TEXTS[:5]]


# The class of transformers whose tokenizer a family has; the others have BERT's.
OWN = {
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "albert": "AlbertTokenizer",
}
# A family and its tokenizer. WordPiece goes with all, too: there is a Korean RoBERTa with it.
KINDS = [(family, OWN.get(family, "BertTokenizer")) for family in FAMILIES]
KINDS.append(("roberta", "BertTokenizer"))


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def folders(request, tokenizer, tmp_path_factory):
    """(the family, a bare encoder of it, a classifier fitted from that and saved)."""
    family, name = request.param
    folder = tmp_path_factory.mktemp(family)
    if name != "BertTokenizer":
        tokenizer = Tokenizer.from_pretrained(write_folder(folder / "tokenizer", name))
    changes = {"vocab_size": max(tokenizer.tokens) + 1, "pad_token_id": tokenizer.pad_token_id}
    small_variant(family, **changes).bert.save_pretrained(folder / "bare")
    tokenizer.write_files(folder / "bare")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a new head is what was asked for
        warnings.filterwarnings("ignore", "epochs=|the trained model calls every text|.*were cut")
        classifier = new(folder / "bare", seed=2).fit(TEXTS, LABELS, HALF)
    classifier.save(folder / "fitted")
    return family, folder / "bare", folder / "fitted", classifier


def theirs(folder, texts, **settings):
    """The probabilities that transformers makes of texts."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt", **settings)
    with torch.inference_mode():
        return type(model).__name__, model(**batch).logits.softmax(dim=-1).numpy()


def test_transformers_gives_the_same_probabilities(folders, parity):
    family, _, folder, classifier = folders
    name, expected = theirs(folder, TEXTS)
    assert name == f"{minibert.variants.VARIANTS[family].hf_name}ForSequenceClassification"
    loaded = TextClassifier.load(folder)
    for ours in (classifier, loaded):
        miss = np.abs(ours.predict_proba(TEXTS) - expected).max()
        parity.at_most(f"TextClassifier, {family}: probabilities", float(miss), 1e-6)
    assert loaded.classes_.tolist() == ["bad", "good"]


def test_pairs_are_the_same_to_transformers(folders, parity):
    family, _, folder, classifier = folders
    texts, others = (list(part) for part in zip(*PAIRS, strict=True))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    segments = classifier.model_.config.type_vocab_size > 1
    asked = {"return_token_type_ids": segments}  # transformers leaves out ALBERT's
    batch = tokenizer(texts, others, padding=True, truncation=True, return_tensors="pt", **asked)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(**batch).logits.softmax(dim=-1).numpy()
    miss = np.abs(classifier.predict_proba(PAIRS) - expected).max()
    parity.at_most(f"TextClassifier, {family}: probabilities of pairs", float(miss), 1e-6)


def test_rows_are_cut_to_what_the_positions_allow(folders):
    """In a RoBERTa that pads with the id 1, two of the 40 positions are no token's."""
    family, bare, folder, classifier = folders
    config = classifier.model_.config
    longest = 39 - config.pad_token_id if config.positions_skip_padding else 40
    assert classifier.model_.config.max_length == longest
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    assert settings["model_max_length"] == longest
    with pytest.warns(UserWarning, match="cut"):
        found = classifier.predict_proba(["good " * 100])
    _, expected = theirs(folder, ["good " * 100])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match=f"max_length is 41; this model takes 3 to {longest}"):
        TextEncoder.load(bare, max_length=41)


def test_training_goes_on_with_the_head_of_the_same_labels(folders):
    _, _, folder, classifier = folders
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = new(folder, epochs=1, lr=1e-12).fit(TEXTS, LABELS)
    np.testing.assert_allclose(
        again.predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-5
    )


def test_a_trained_head_of_other_labels_is_replaced_and_said(folders):
    with pytest.warns(UserWarning, match="has a head that was trained for the labels"):
        new(folders[2]).fit(TEXTS, [f"{label}, really" for label in LABELS])


def test_vectors_are_those_of_transformers(folders, parity):
    family, bare, _, _ = folders
    tokenizer = transformers.AutoTokenizer.from_pretrained(bare)
    model = transformers.AutoModel.from_pretrained(bare).eval()
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state  # (B, T, C)
    mask = batch["attention_mask"][..., None]
    mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    found = TextEncoder.load(bare, normalize=False).encode(TEXTS)
    parity.at_most(f"TextEncoder, {family}", float(np.abs(found - mean.numpy()).max()))
    if family != "albert":
        with pytest.raises(ValueError, match="pooling is 'pooler' and this model has none"):
            TextEncoder.load(bare, pooling="pooler")


def test_the_card_names_the_family(folders):
    family, _, folder, _ = folders
    variant = minibert.variants.VARIANTS[family]
    card = (folder / "README.md").read_text("utf-8")
    assert f"{variant.name} of 3 layers, 48 wide, fine-tuned" in card
    assert f"transformers opens it as {variant.hf_name}ForSequenceClassification." in card


def test_head_alone_is_trained_as_it_is_used(folders):
    """On vectors that were computed once, with the layer before the classifier in the head."""
    family, bare, _, _ = folders
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = new(bare, trained_layers=0, lr=1e-3).fit(TEXTS, LABELS, HALF)
    before = minibert.BertModel.from_pretrained(bare).state_dict()
    after = classifier.model_.bert.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before if not n.startswith("pooler."))
    proba = classifier.predict_proba(HALF[0])
    right = [proba[i, int(label == "good")] for i, label in enumerate(HALF[1])]
    loss = classifier.history_.evaluations[-1].loss
    assert loss == pytest.approx(-np.log(right).mean(), abs=1e-5)


@pytest.mark.parametrize("family", ["distilbert", "albert"])
def test_training_in_bf16_stays_near(family, tokenizer, tmp_path):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = small_variant(family, **still, classifier_dropout=0.0)
    model.bert.save_pretrained(tmp_path / "m")
    tokenizer.write_files(tmp_path / "m")
    losses = [
        new(tmp_path / "m", precision=precision).fit(TEXTS, LABELS).history_.losses
        for precision in ("fp32", "bf16")
    ]
    np.testing.assert_allclose(*losses, atol=0.02)
    assert losses[0] != losses[1]


def test_int8_stays_near(folders):
    _, _, folder, classifier = folders
    fast = TextClassifier.load(folder, precision="int8")
    assert np.abs(fast.predict_proba(TEXTS) - classifier.predict_proba(TEXTS)).max() < 0.1
