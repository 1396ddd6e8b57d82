"""The files of every family: transformers saves, we load and save, transformers loads."""

import contextlib
import json
import warnings

import pytest
import torch
import transformers
from safetensors.torch import load_file

import minibert
from minibert.checkpoint.names import Names, from_hf, to_hf
from tests.conftest import OURS
from tests.families import (
    FAMILIES,
    HEADS,
    NAMED,
    batches,
    model_type,
    new_reference,
    only_real,
    ours,
)
from tests.parity.test_formats import legacy_norms, one_pickle
from tests.parity.test_variants import inputs

AUTO = {
    "BertModel": transformers.AutoModel,
    "BertForSequenceClassification": transformers.AutoModelForSequenceClassification,
    "BertForTokenClassification": transformers.AutoModelForTokenClassification,
    "BertForQuestionAnswering": transformers.AutoModelForQuestionAnswering,
    "BertForMaskedLM": transformers.AutoModelForMaskedLM,
}


ROUND_TRIPS = [
    *((family, head) for family in NAMED for head in AUTO),
    ("xlm-roberta", "BertForSequenceClassification"),
    ("camembert", "BertForMaskedLM"),
]


@torch.inference_mode()
@pytest.mark.parametrize(("family", "head"), ROUND_TRIPS)
def test_transformers_opens_what_we_save_and_every_tensor_is_equal(family, head, tmp_path, parity):
    theirs = new_reference(family, head)
    theirs.save_pretrained(tmp_path / "hf")
    mine = OURS[head].from_pretrained(tmp_path / "hf")
    assert not mine.load_report.newly_initialised and not mine.load_report.ignored
    mine.save_pretrained(tmp_path / "ours")
    options = {"add_pooling_layer": False} if lacks_pooler(theirs, head) else {}
    again, info = AUTO[head].from_pretrained(tmp_path / "ours", output_loading_info=True, **options)
    assert type(again) is type(theirs) and not any(
        info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")
    )
    tensors = theirs.state_dict()
    assert again.state_dict().keys() == tensors.keys()
    other = [n for n, t in again.state_dict().items() if not torch.equal(t, tensors[n])]
    parity.at_most(f"{model_type(family)}: tensors that differ after the round trip", len(other), 0)
    written = [load_file(tmp_path / folder / "model.safetensors") for folder in ("hf", "ours")]
    assert written[0].keys() == written[1].keys()
    batch = batches(family)["pairs"]
    miss = only_real("", mine(**batch)[0] - again.eval()(**inputs(batch, family))[0], batch)
    parity.at_most(f"{model_type(family)}: outputs after the round trip", miss.abs().max())


def lacks_pooler(theirs, head):
    """transformers would give RobertaModel a random one."""
    return head == "BertModel" and theirs.config.model_type in (
        "roberta",
        "xlm-roberta",
        "camembert",
    )


# --- other names for the same weights ------------------------------------------------------------


def old_names(tensors, names):
    """gamma and beta; buffers of numbers and zeros."""
    return {
        **legacy_norms(tensors),
        f"{names.variant.prefix}embeddings.position_ids": torch.arange(512)[None],
        f"{names.variant.prefix}embeddings.token_type_ids": torch.zeros(1, 512, dtype=torch.long),
    }


def without_prefix(tensors, names):
    return {name.removeprefix(names.variant.prefix): t for name, t in tensors.items()}


def with_copies(tensors, names):
    """The tied weights a second time."""
    copies = {}
    for copy, original in names.variant.tied.items():
        name = original if original in tensors else names.variant.prefix + original
        copies[copy] = tensors[name].clone()
    return {**tensors, **copies}


def wrapped(tensors, names):
    return {f"module.{name}": t for name, t in tensors.items()}


OTHER_NAMES = [old_names, without_prefix, with_copies, wrapped]


@pytest.mark.parametrize("other", OTHER_NAMES, ids=lambda other: other.__name__)
@pytest.mark.parametrize("family", NAMED)
def test_other_names_lead_to_the_same_weights(family, other):
    mine = ours(family, "BertForMaskedLM")
    names = Names(mine.config.variant)
    state = {name: p.detach() for name, p in mine.named_parameters()}
    shapes = {name: p.shape for name, p in state.items()}
    stored = other(to_hf(state, names), names)
    assert stored.keys() != to_hf(state, names).keys()
    found, report = from_hf(stored, shapes, "file", names=names)
    assert not report.newly_initialised
    assert set(report.ignored) == {name for name in stored if name.endswith("_ids")}
    assert set(report.tied) == (set(names.variant.tied) if other is with_copies else set())
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("family", ["roberta", "albert"])
def test_only_the_tied_copy_of_a_weight(family):
    """Files whose token table is stored as the decoder's matrix alone."""
    mine = ours(family, "BertForMaskedLM")
    names = Names(mine.config.variant)
    state = {name: p.detach() for name, p in mine.named_parameters()}
    stored = with_copies(to_hf(state, names), names)
    del stored[f"{names.variant.prefix}embeddings.word_embeddings.weight"]
    found, report = from_hf(stored, {n: p.shape for n, p in state.items()}, "file", names=names)
    assert torch.equal(found["bert.embeddings.token.weight"], state["bert.embeddings.token.weight"])
    assert report.renamed and not report.newly_initialised


@pytest.mark.parametrize("family", ["distilbert", "roberta", "electra", "albert"])
def test_a_pickle_with_old_names(family, tmp_path):
    theirs = new_reference(family, "BertForMaskedLM")
    theirs.config.save_pretrained(tmp_path)
    one_pickle(legacy_norms(theirs.state_dict()), tmp_path)
    mine = minibert.BertForMaskedLM.from_pretrained(tmp_path)
    assert not mine.load_report.newly_initialised and not mine.load_report.ignored
    state = ours(family, "BertForMaskedLM").state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in mine.state_dict().items())


@pytest.mark.parametrize("family", NAMED)
def test_a_copy_that_is_none_is_refused(family):
    mine = ours(family, "BertForMaskedLM")
    names = Names(mine.config.variant)
    state = {name: p.detach() for name, p in mine.named_parameters()}
    stored = with_copies(to_hf(state, names), names)
    copy = next(iter(names.variant.tied))
    stored[copy] = stored[copy] + 1
    with pytest.raises(ValueError, match=f"{copy} differs from .*word_embeddings"):
        from_hf(stored, {n: p.shape for n, p in state.items()}, "file", names=names)


# --- heads that minibert has not -----------------------------------------------------------------

EXTRA = {
    ("electra", "ElectraForPreTraining"): "discriminator_predictions.dense_prediction.weight",
    ("albert", "AlbertForPreTraining"): "sop_classifier.classifier.weight",
    ("roberta", "RobertaModel"): "pooler.dense.weight",
    ("roberta", "RobertaForMultipleChoice"): "roberta.pooler.dense.weight",
    ("distilbert", "DistilBertForMaskedLM"): "vocab_transform.weight",
}


@pytest.mark.parametrize(("family", "kind"), EXTRA)
def test_a_head_without_use_is_ignored_and_reported(family, kind, tmp_path):
    torch.manual_seed(0)
    theirs = getattr(transformers, kind)(new_reference(family).config)
    theirs.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine = minibert.BertModel.from_pretrained(tmp_path)
    assert EXTRA[family, kind] in mine.load_report.ignored
    assert not mine.load_report.newly_initialised
    assert (mine.pooler is None) == (family != "albert")


def test_an_old_classifier_with_a_pooler_besides_its_own_layer(tmp_path):
    """roberta.pooler.dense.* is random numbers of old conversions; classifier.dense is trained."""
    theirs = new_reference("roberta", "BertForSequenceClassification")
    pooler = {
        "roberta.pooler.dense.weight": torch.ones(48, 48),
        "roberta.pooler.dense.bias": torch.ones(48),
    }
    theirs.config.save_pretrained(tmp_path)
    one_pickle({**theirs.state_dict(), **pooler}, tmp_path)
    mine = minibert.BertForClassification.from_pretrained(tmp_path)
    assert set(mine.load_report.ignored) == pooler.keys()
    assert torch.equal(mine.bert.pooler.dense.weight, theirs.classifier.dense.weight)


def test_the_pre_trained_albert_keeps_its_pooler_and_masked_lm(tmp_path):
    theirs = transformers.AlbertForPreTraining(new_reference("albert").config).eval()
    theirs.save_pretrained(tmp_path)
    batch = batches("albert")["pairs"]
    with torch.inference_mode():
        wanted = theirs(**batch, output_hidden_states=True)
        pooled = minibert.BertModel.from_pretrained(tmp_path)(**batch).pooler_output
        scores = minibert.BertForMaskedLM.from_pretrained(tmp_path)(**batch).logits
        sop = theirs.sop_classifier(pooled)
    assert (sop - wanted.sop_logits).abs().max() <= 1e-5
    assert only_real("", scores - wanted.prediction_logits, batch).abs().max() <= 1e-5


def test_a_tensor_that_no_family_has_is_refused():
    for family in NAMED:
        mine = ours(family)
        names = Names(mine.config.variant)
        state = {name: p.detach() for name, p in mine.named_parameters()}
        stored = {**to_hf(state, names), "encoder.adapter.weight": torch.ones(2)}
        shapes = {name: p.shape for name, p in state.items()}
        with pytest.raises(ValueError, match="unknown encoder.adapter.weight"):
            from_hf(stored, shapes, "file", names=names)
        lost = next(name for name in stored if "norm" in name.lower() and ".0." in name)
        del stored["encoder.adapter.weight"], stored[lost]
        with pytest.raises(ValueError, match=f"lacks {lost}"):
            from_hf(stored, shapes, "file", names=names)


# --- loading flows of classifiers ----------------------------------------------------------------

FLOWS = ["distilbert", "roberta", "electra", "albert"]
KINDS = {
    "BertForSequenceClassification": minibert.BertForClassification,
    "BertForTokenClassification": minibert.BertForTokenClassification,
}


@pytest.fixture(scope="module", params=FLOWS)
def saved(request, tmp_path_factory):
    """A family, and folders of its models by class, as transformers saves them."""
    folder = tmp_path_factory.mktemp("flows")
    for head in AUTO:
        labels = {"num_labels": 3} if head in KINDS else {}
        new_reference(request.param, head, **labels).save_pretrained(folder / head)
    return request.param, folder


@pytest.fixture(params=KINDS)
def head(request):
    return request.param


def new_names(report):
    return {name.rpartition(".")[0] for name in report.newly_initialised}


def new_in(family, head):
    """The layers of a classifier that a model without it lacks."""
    has_layer = head == "BertForSequenceClassification" and family != "albert"
    return {"classifier"} | ({"bert.pooler.dense"} if has_layer else set())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("source", ["BertModel", "BertForMaskedLM", "BertForQuestionAnswering"])
def test_a_head_that_was_asked_for_is_new_without_a_warning(saved, head, source):
    family, folder = saved
    rows = head == "BertForSequenceClassification"
    # ALBERT's pooler is part of the pre-trained model, and files of the other heads lack it.
    lacks_pooler = family == "albert" and rows and source != "BertModel"
    warned = pytest.warns(UserWarning, match="no weights for bert.pooler.dense.weight .pooler")
    with warned if lacks_pooler else contextlib.nullcontext():
        model = KINDS[head].from_pretrained(folder / source, num_labels=5)
    pooler = {"bert.pooler.dense"} if lacks_pooler else set()
    assert new_names(model.load_report) == new_in(family, head) | pooler
    assert model.config.num_labels == 5 and model.config.model_type == family


def test_a_head_that_was_not_asked_for_is_warned_of(saved, head):
    family, folder = saved
    with pytest.warns(UserWarning, match="no weights for .*classifier.weight.*start at random"):
        model = KINDS[head].from_pretrained(folder / "BertModel")
    assert new_names(model.load_report) == new_in(family, head)


@pytest.mark.filterwarnings("error")
def test_a_trained_head_is_loaded_and_its_labels_kept(saved, head):
    family, folder = saved
    for options in ({}, {"num_labels": 3}):
        model = KINDS[head].from_pretrained(folder / head, **options)
        assert not model.load_report.newly_initialised and model.config.num_labels == 3


@pytest.mark.filterwarnings("error")
def test_labels_without_names_take_those_given(saved, head):
    _, folder = saved
    model = KINDS[head].from_pretrained(folder / head, labels=("anger", "joy", "fear"))
    assert model.config.labels == ("anger", "joy", "fear")
    assert not model.load_report.newly_initialised


def test_other_labels_than_the_trained_ones_are_refused(saved, head):
    _, folder = saved
    for options in ({"num_labels": 2}, {"labels": ("a", "b")}):
        with pytest.raises(ValueError, match="LABEL_2.*new_head=True"):
            KINDS[head].from_pretrained(folder / head, **options)


@pytest.mark.filterwarnings("error")
def test_a_new_head_replaces_the_trained_one(saved, head):
    family, folder = saved
    model = KINDS[head].from_pretrained(folder / head, num_labels=2, new_head=True)
    assert new_names(model.load_report) == new_in(family, head)
    assert "classifier" in str(model.load_report.ignored) and model.config.num_labels == 2


def test_the_head_of_another_task_is_not_taken_for_ones_own(saved, head):
    """Rows and tokens: in ALBERT and DistilBERT both heads are called classifier."""
    family, folder = saved
    (other,) = KINDS.keys() - {head}
    with pytest.warns(UserWarning, match="classifier.weight.*random"):
        model = KINDS[head].from_pretrained(folder / other)
    assert new_names(model.load_report) >= {"classifier"}
    theirs = {
        name for name in load_file(folder / other / "model.safetensors") if "classifier" in name
    }
    assert set(model.load_report.ignored) >= theirs


SLOWER = ["BertForTokenClassification", "BertForQuestionAnswering"]  # only a head less or more


@pytest.mark.filterwarnings("ignore:.*start at random")
@pytest.mark.parametrize(
    "theirs", [pytest.param(h, marks=pytest.mark.slow) if h in SLOWER else h for h in AUTO]
)
def test_any_checkpoint_opens_as_any_model(saved, theirs):
    """The encoder is loaded; a head that is absent is new, and one without use is ignored."""
    _, folder = saved
    body = minibert.BertModel.from_pretrained(folder / theirs)
    encoder = {n: p for n, p in body.state_dict().items() if not n.startswith("pooler")}
    file = load_file(folder / theirs / "model.safetensors")
    for kind in (OURS[head] for head in HEADS):
        model = kind.from_pretrained(folder / theirs)
        state, report = model.bert.state_dict(), model.load_report
        assert all(torch.equal(state[name], tensor) for name, tensor in encoder.items())
        used = {
            their
            for our in report.loaded
            for their in model._names(model.config).of(our.removeprefix("bert."))
        }
        bare = {model._names(model.config).bare(name) for name in file}
        left = {model._names(model.config).bare(name) for name in report.ignored}
        assert used | left == bare and not used & left


def test_what_is_saved_says_its_family(saved, tmp_path):
    family, folder = saved
    model = minibert.BertForClassification.from_pretrained(folder / "BertForSequenceClassification")
    model.save_pretrained(tmp_path / "ours")
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["model_type"] == family
    assert config["architectures"] == [
        type(new_reference(family, "BertForSequenceClassification")).__name__
    ]
    unknown = {"embedding_size", "num_hidden_groups", "qa_dropout", "type_vocab_size"}
    known = new_reference(family).config.to_dict().keys()
    assert not unknown & (config.keys() - known)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rate_that_is_as_the_others_is_written_as_a_number_where_it_must_be(family):
    """DistilBERT and ALBERT have no "as the layers" for the classifier's dropout."""
    config = minibert.BertConfig(
        **{**ours(family).config.__dict__, "classifier_dropout": None, "hidden_dropout_prob": 0.25}
    )
    theirs = type(new_reference(family).config).from_dict(config.to_dict())
    again = minibert.BertConfig.from_dict(theirs.to_dict())
    assert again.head_dropout == 0.25
