"""What of a pre-trained model is trained, how fast, for how long and in how much memory.

All from the outside: what the settings of TextClassifier and Recipe promise.
"""

import importlib.util
import json
import math
import platform
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
import yaml
from sklearn.utils.class_weight import compute_class_weight

import minibert
import minibert.data
import minibert.encoder
import minibert.tasks.text_classifier
import minibert.training.finetune
from minibert import TextClassifier
from minibert.tasks.labels import Labels
from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head, first_vectors
from minibert.training.loop import Evaluation, Recipe, train
from minibert.training.optimizer import depths, make_optimizer, train_only_last
from tests.conftest import ROOT, TEXTS, TINY, randomize

LABELS = ["good" if i % 2 else "bad" for i in range(24)]
HALF = (TEXTS[:12], LABELS[:12])
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
HEAD = ("bert.pooler.", "classifier.")
# A tiny random encoder learns little in an epoch, and most tests here do not ask it to.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]


@pytest.fixture(scope="module")
def tokenizer():
    return minibert.WordPieceTokenizer.from_pretrained("minilm-l6")


@pytest.fixture(scope="module")
def start(tmp_path_factory, tokenizer):
    """A tiny encoder whose biases and norms, too, differ from those of a new one."""
    folder = tmp_path_factory.mktemp("start") / "model"
    small_model().bert.save_pretrained(folder)
    tokenizer.write_files(folder)
    return folder


def small_model(**changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 30522, "max_position_embeddings": 40}
    config = minibert.BertConfig(**{**TINY, **sizes, **changes})
    return randomize(minibert.BertForClassification(config), 0)


def new(start, **changes):
    return TextClassifier(**{"model": start, "epochs": 1, "batch_size": 8, "lr": 1e-4, **changes})


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def fit(model, tokenizer, evaluate=None, *, number=24, batch_size=8, weights=None, **recipe):
    rows = tokenizer.encode_batch(TEXTS[:number])
    examples = Examples(rows, [i % 2 for i in range(number)])
    task = Classification(examples, tokenizer, batch_size, class_weights=weights)
    return train(model, task, Recipe(**{"epochs": 1, "lr": 1e-4, **recipe}), evaluate)


class Stop(Exception):
    """Ends `fit` where training would begin."""


@pytest.fixture()
def planned(monkeypatch):
    """fit up to the training loop: returns (model, task, recipe) as the loop gets them."""

    def stop(model, task, recipe, *_, **__):
        raise Stop(model, task, recipe)

    monkeypatch.setattr(minibert.training.finetune, "train", stop)

    def plan(classifier, texts=TEXTS, labels=LABELS, **arguments):
        with pytest.raises(Stop) as caught:
            classifier.fit(texts, labels, **arguments)
        return caught.value.args

    return plan


# --- the last layers -------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_only_head_and_last_layers_can_be_trained(layers):
    model = small_model()
    train_only_last(model, layers)
    free = (*HEAD, *(f"bert.encoder.layers.{i}." for i in range(3 - layers, 3)))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith(free), name


def test_frozen_weights_keep_their_bits_and_the_others_learn(start):
    classifier = new(start, trained_layers=1).fit(TEXTS, LABELS)
    before = minibert.BertModel.from_pretrained(start).state_dict()
    after = classifier.model_.bert.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(("encoder.layers.2.", "pooler."))}
    assert all(p.requires_grad for p in classifier.model_.parameters()), "free again afterwards"


def test_weights_are_free_again_after_training_that_failed(start, planned):
    model, _, _ = planned(new(start, trained_layers=1))
    assert all(parameter.requires_grad for parameter in model.parameters())


# --- layer-wise decay of the learning rate ----------------------------------------------------


def depth(name):
    """What `depths` should say for a model of three layers."""
    places = {"bert.embeddings.": 4, **{f"bert.encoder.layers.{i}.": 3 - i for i in range(3)}}
    return next((d for prefix, d in places.items() if name.startswith(prefix)), 0)


def test_each_layer_down_has_a_lower_rate():
    model = small_model()
    assert depths(model) == {name: depth(name) for name, _ in model.named_parameters()}
    groups = make_optimizer(model, 1e-3, 0.01, layer_decay=0.5).param_groups
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        rate, decay = found[id(parameter)]
        assert rate == pytest.approx(1e-3 * 0.5 ** depth(name)), name
        assert decay == (0.01 if parameter.ndim > 1 else 0.0), name
    assert len(found) == len(list(model.parameters()))


def test_first_step_goes_as_far_as_the_rate_of_the_layer(start):
    """Adam's first step is the rate itself, whatever the gradient, so weights show it."""
    classifier = new(start, batch_size=24, layer_decay=0.5).fit(TEXTS, LABELS)
    before = minibert.BertModel.from_pretrained(start).state_dict()
    for name, after in classifier.model_.bert.named_parameters():
        step = (after.detach() - before[name]).abs().max().item()
        assert step == pytest.approx(1e-4 * 0.5 ** depth("bert." + name), rel=0.03), name


# --- a head on a frozen encoder ---------------------------------------------------------------


def test_frozen_encoder_keeps_its_bits_and_its_head_goes_where_the_model_goes(start, tmp_path):
    classifier = new(start, trained_layers=0, lr=1e-2, epochs=20).fit(TEXTS, LABELS, HALF)
    before = minibert.BertModel.from_pretrained(start).state_dict()
    after = classifier.model_.bert.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(parameter.requires_grad for parameter in classifier.model_.parameters())
    # Evaluated on vectors, and as a whole from texts: the same model.
    last = classifier.history_.evaluations[-1]
    assert last.accuracy == pytest.approx(classifier.score(*HALF), abs=1e-6)
    assert last.loss < classifier.history_.evaluations[0].loss
    proba = classifier.predict_proba(HALF[0])
    right = [proba[i, int(label == "good")] for i, label in enumerate(HALF[1])]
    assert last.loss == pytest.approx(-np.log(right).mean(), abs=1e-5)
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_vectors_are_the_models_own_without_dropout(tokenizer):
    model = small_model(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5).train()
    vectors = first_vectors(model, tokenizer, tokenizer.encode_batch(TEXTS))
    assert model.training and vectors.shape == (24, 48)
    model.eval()
    with torch.no_grad():
        for text, vector in zip(TEXTS, vectors, strict=True):
            expected = model.bert(**tokenizer([text])).last_hidden_state[0, 0]
            torch.testing.assert_close(vector, expected, atol=1e-5, rtol=0)


def test_head_on_vectors_learns_what_the_model_with_a_frozen_encoder_learns(tokenizer):
    slow, fast = small_model(**STILL), small_model(**STILL)
    train_only_last(slow, 0)
    recipe = {"epochs": 3, "lr": 1e-3}
    fit(slow, tokenizer, **recipe)
    rows = tokenizer.encode_batch(TEXTS)
    task = Classification(Examples(rows, [i % 2 for i in range(24)]), tokenizer, 8)
    vectors = first_vectors(fast, tokenizer, rows)
    history = train(Head(fast), ClassificationOfVectors(task, vectors), Recipe(**recipe))
    assert len(history.losses) == 9
    for name, tensor in state(slow).items():
        torch.testing.assert_close(state(fast)[name], tensor, atol=1e-5, rtol=0, msg=name)
    assert not torch.equal(state(fast)["classifier.weight"], small_model().classifier.weight)


# --- random weights ---------------------------------------------------------------------------


def test_random_weights_are_new_and_follow_from_the_seed(start, planned):
    def weights(**changes):
        torch.manual_seed(changes.pop("callers_seed", 1))
        return state(planned(new(start, **changes))[0])

    random = weights(weights="random")
    trained = minibert.BertModel.from_pretrained(start).state_dict()
    for name, tensor in trained.items():
        # Position and segment embeddings, too; as if the folder had never been opened.
        assert (random[f"bert.{name}"] - tensor).abs().max() > 0.01, name
    again = weights(weights="random", callers_seed=2)
    assert all(torch.equal(random[name], again[name]) for name in random)
    other = weights(weights="random", seed=1)
    assert not torch.equal(random["bert.pooler.dense.weight"], other["bert.pooler.dense.weight"])
    kept = weights(weights="pretrained")
    assert all(torch.equal(kept[f"bert.{name}"], tensor) for name, tensor in trained.items())


@pytest.mark.parametrize(
    ("changes", "warned"),
    [({}, True), ({"lr": 1e-4}, False), ({"weights": "random"}, False)],
)
def test_a_rate_that_ruins_trained_weights_is_warned_of(start, planned, changes, warned):
    """Random weights have nothing to lose, and learn little with less."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        planned(new(start, **{"lr": 3e-4, **changes}))
    messages = [
        str(warning.message) for warning in caught if "makes only" not in str(warning.message)
    ]
    assert ["lr=0.0003 is high" in message for message in messages] == [True] * warned


# --- class weights ----------------------------------------------------------------------------

UNEVEN = ["rare"] * 3 + ["some"] * 6 + ["usual"] * 15


def test_balanced_is_that_of_scikit_learn(start, planned):
    _, task, _ = planned(new(start, class_weight="balanced"), labels=UNEVEN)
    classes = np.unique(UNEVEN)
    expected = compute_class_weight("balanced", classes=classes, y=UNEVEN)
    np.testing.assert_allclose(task.class_weights, expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [UNEVEN, [len(label) for label in UNEVEN]])
def test_weights_by_label_find_their_class_whatever_their_order(start, planned, labels):
    rare, some, usual = labels[0], labels[3], labels[-1]
    _, task, _ = planned(new(start, class_weight={usual: 1, rare: 5, some: 2.5}), labels=labels)
    by_label = dict(zip(np.unique(labels).tolist(), task.class_weights.tolist(), strict=True))
    assert by_label == {rare: 5.0, some: 2.5, usual: 1.0}


@pytest.mark.parametrize("layers", [None, 0])
def test_class_weights_reach_the_loss(start, layers):
    """The first loss, before any step, is that of torch with these weights."""
    still = {**STILL, "classifier_dropout": 0.0}
    settings = dict(batch_size=24, trained_layers=layers, class_weight={"bad": 1.0, "good": 9.0})
    folder = start.parent / f"still-{layers}"
    minibert.BertModel(small_model(**still).config).save_pretrained(folder)
    minibert.WordPieceTokenizer.from_pretrained(start).write_files(folder)
    labels = ["good"] * 6 + ["bad"] * 18
    weighted = new(folder, **settings).fit(TEXTS, labels)
    plain = new(folder, **{**settings, "class_weight": None}).fit(TEXTS, labels)
    model, _ = weighted._new_model(folder, Labels(weighted.classes_))
    batch = weighted.tokenizer_(TEXTS)
    with torch.no_grad():
        logits = model.eval()(**batch).logits
    ids = torch.tensor([label == "good" for label in labels]).long()
    for classifier, weights in ((weighted, torch.tensor([1.0, 9.0])), (plain, None)):
        expected = torch.nn.functional.cross_entropy(logits, ids, weights).item()
        assert classifier.history_.losses[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("balance", "'balance'.*'balanced'"),
        (3.0, "class_weight is 3.0.*balanced"),
        ({"good": 1.0}, "labels 'good', and the training data 'bad', 'good'"),
        ({"good": 1.0, "bad": 1.0, "god": 2.0}, "'god'.*'bad', 'good'"),
        ({"good": 1.0, "bad": -1.0}, "'bad' is -1.0.*above 0"),
        ({"good": 0, "bad": 1}, "'good' is 0.*above 0"),
        ({"good": math.nan, "bad": 1}, "'good' is nan"),
        ({"good": "2", "bad": 1}, "'good' is '2'"),
    ],
)
def test_unusable_class_weights_are_refused(start, weight, message):
    with pytest.raises(ValueError, match=message):
        new(start, class_weight=weight).fit(TEXTS, LABELS)


# --- truncation -------------------------------------------------------------------------------

LETTERS = "a b c d e f g h i j k l m n o p"


def cut(tokenizer, text, max_length, truncation="head+tail"):
    (row,) = tokenizer.encode_batch([text], max_length, truncation)
    return [tokenizer.tokens[i] for i in row.ids], row.type_ids, row.dropped


def test_head_and_tail_keep_a_quarter_of_the_beginning_and_the_end(tokenizer):
    tokens, type_ids, dropped = cut(tokenizer, LETTERS, 10)  # 8 beside [CLS] and [SEP]
    assert tokens == ["[CLS]", *"abklmnop", "[SEP]"]
    assert type_ids == [0] * 10 and dropped == 8
    assert cut(tokenizer, LETTERS, 10, "head")[0] == ["[CLS]", *"abcdefgh", "[SEP]"]
    assert cut(tokenizer, LETTERS, 5)[0] == ["[CLS]", *"nop", "[SEP]"], "a quarter of 3 is none"


def test_head_and_tail_of_pairs(tokenizer):
    # 13 - 3 is 10, for each text 5: a quarter of that is 1.
    tokens, type_ids, dropped = cut(tokenizer, (LETTERS, LETTERS), 13)
    assert tokens == ["[CLS]", *"amnop", "[SEP]", *"amnop", "[SEP]"]
    assert type_ids == [0] * 7 + [1] * 6 and dropped == 22
    # The longer text gives way; the shorter stays whole.
    tokens, type_ids, dropped = cut(tokenizer, ("a b", LETTERS), 13)
    assert tokens == ["[CLS]", *"ab", "[SEP]", *"abklmnop", "[SEP]"]
    assert type_ids == [0] * 4 + [1] * 9 and dropped == 8


def test_what_fits_is_not_cut_and_what_does_not_fills_the_row(tokenizer):
    for length in range(2, 25):
        tokens, _, dropped = cut(tokenizer, LETTERS, length)
        assert len(tokens) == min(length, 18) and dropped == max(0, 18 - length)
        short = "a b c"
        if length >= 5:
            assert cut(tokenizer, short, length) == cut(tokenizer, short, None, "head")


@pytest.mark.filterwarnings("ignore:.*were cut")
def test_truncation_is_applied_everywhere_and_survives_a_folder(start, planned, tmp_path):
    texts = [f"{LETTERS} {'good' if i % 2 else 'bad'} end" for i in range(24)]
    settings = {"truncation": "head+tail", "max_length": 8}
    kept = "a n o p good end"  # of texts[1]: a quarter of 6, then the rest
    _, task, _ = planned(new(start, **settings), texts, validation=(texts, LABELS))
    assert task.examples.rows[1].ids == task.tokenizer.encode_batch([kept])[0].ids
    model, tokenizer = new(start, **settings)._new_model(start, Labels.of(LABELS))
    classifier = new(start, **settings)
    classifier.model_, classifier.tokenizer_ = model, tokenizer
    classifier.classes_, classifier._engine = (
        np.array(["bad", "good"]),
        minibert.tasks.text_classifier.Engine(),
    )
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    assert again.truncation == "head+tail" and again.max_length == 8
    for either in (classifier, again):
        good, bad, same = either.predict_proba([texts[1], texts[0], kept])
        np.testing.assert_allclose(good, same, atol=1e-6)
        assert abs(good - bad).max() > 1e-5, "it reads the end"


# --- when to stop, and what to keep -----------------------------------------------------------


def scripted(model, results, seen):
    """An evaluation that returns planned (accuracy, loss) and notes the weights it was shown."""

    def evaluate(step):
        accuracy, loss = results[len(seen)]
        seen.append(state(model))
        return Evaluation(step, loss, accuracy)

    return evaluate


def plan(*accuracies):
    return [(accuracy, 0.5) for accuracy in accuracies]


@pytest.mark.parametrize(
    ("results", "patience", "evaluations", "best"),
    [
        (plan(0.5, 0.6, 0.7, 0.65, 0.66, 0.9, 0.9), 2, 5, 2),
        (plan(0.5, 0.6, 0.7, 0.65, 0.8, 0.7, 0.7), 2, 7, 4),  # saved by the one after
        (plan(0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 1, 2, 0),  # nothing beat the untrained model
        (plan(0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6), 3, 5, 1),  # as good is not better
        ([(0.5, 0.9), (0.5, 0.8), (0.5, 0.7), (0.5, 0.75), (0.5, 0.7)], 2, 5, 2),  # by loss
        (plan(0.5, 0.6, 0.7, 0.65, 0.66, 0.6, 0.5), None, 7, 2),
    ],
)
def test_patience_stops_and_the_best_weights_come_back(
    tokenizer, results, patience, evaluations, best
):
    model, seen = small_model(), []
    evaluate = scripted(model, results, seen)
    recipe = dict(batch_size=4, epochs=1, evaluate_every=1, patience=patience)  # at most 6 steps
    history = fit(model, tokenizer, evaluate, keep_best=True, **recipe)
    assert len(history.evaluations) == len(seen) == evaluations
    assert len(history.losses) == evaluations - 1
    assert history.best is history.evaluations[best]
    kept = state(model)
    same = [
        i for i, weights in enumerate(seen) if all(torch.equal(weights[n], kept[n]) for n in kept)
    ]
    assert same == [best]


def test_without_keep_best_the_last_weights_stay(tokenizer):
    model, seen = small_model(), []
    fit(model, tokenizer, scripted(model, plan(0.9, 0.5, 0.5), seen), patience=2, evaluate_every=1)
    assert len(seen) == 3
    assert torch.equal(seen[-1]["classifier.weight"], model.classifier.weight)


@pytest.mark.parametrize("layers", [None, 0])
@pytest.mark.filterwarnings("ignore:lr=")
def test_a_classifier_keeps_the_weights_of_its_best_epoch(start, layers):
    """At such a rate and with labels that mean nothing the accuracy goes up and down."""
    labels = ["good" if i % 3 else "bad" for i in range(24)]
    held_out = (TEXTS[::-2], labels[::-2])
    settings = dict(epochs=4, lr=3e-2, trained_layers=layers, keep_best=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = new(start, **settings).fit(TEXTS, labels, held_out)
    evaluations = classifier.history_.evaluations
    best = classifier.history_.best
    assert best != evaluations[-1], "or this test shows nothing"
    assert classifier.score(*held_out) == pytest.approx(best.accuracy)


@pytest.mark.parametrize("setting", [{"patience": 1}, {"keep_best": True}])
def test_stopping_early_needs_validation_texts(start, setting):
    with pytest.raises(ValueError, match="patience and keep_best need validation texts"):
        new(start, **setting).fit(TEXTS, LABELS)


# --- a model that learned nothing -------------------------------------------------------------


# A single held-out text has one answer, however good the model is.
@pytest.mark.parametrize("validation", [None, HALF, (TEXTS[:1], LABELS[:1])])
@pytest.mark.parametrize("collapsed", [True, False])
def test_a_model_with_one_answer_is_reported(start, monkeypatch, validation, collapsed):
    def fake(model, *_, **__):
        """Instead of training: [CLS] vectors differ between texts; answer by their median."""
        with torch.no_grad():
            model.classifier.weight.zero_()
            if collapsed:
                model.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
                return minibert.tasks.text_classifier.History()
            tokenizer = minibert.WordPieceTokenizer.from_pretrained(start)
            first = model.eval().bert(**tokenizer(TEXTS[:12])).pooler_output[:, 0]
            model.classifier.weight[1, 0] = 1.0
            model.classifier.bias.copy_(torch.tensor([first.median().item(), 0.0]))
        return minibert.tasks.text_classifier.History()

    monkeypatch.setattr(minibert.tasks.text_classifier, "finetune", fake)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new(start, epochs=10).fit(TEXTS, LABELS, validation)
    messages = [str(warning.message) for warning in caught if warning.filename == __file__]
    assert len(messages) == len(caught) == collapsed
    assert not collapsed or "calls every text 'good'" in messages[0]


# --- less memory, same result -----------------------------------------------------------------


def assert_close(found, expected):
    for name, tensor in state(expected).items():
        torch.testing.assert_close(state(found)[name], tensor, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 4.0])])
def test_accumulated_parts_make_the_step_of_the_whole_batch(tokenizer, monkeypatch, weights):
    sizes = []
    loss = Classification.loss

    def counted(self, model, part, whole):
        sizes.append((len(part), len(whole)))
        return loss(self, model, part, whole)

    whole, parts = small_model(**STILL), small_model(**STILL)
    # 20 texts in batches of 9: the last has 2, fewer than parts.
    settings = dict(number=20, batch_size=9, weights=weights, lr=1e-5)
    expected = fit(whole, tokenizer, **settings)
    monkeypatch.setattr(Classification, "loss", counted)
    history = fit(parts, tokenizer, accumulate=3, **settings)
    assert len(sizes) == 3 + 3 + 2 and {whole for _, whole in sizes} == {9, 2}
    assert max(part for part, _ in sizes) < 9
    assert history.losses == pytest.approx(expected.losses, abs=1e-5)
    assert history.examples == expected.examples == 20
    assert_close(parts, whole)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_computing_activations_twice_gives_the_same_weights(tokenizer, monkeypatch, dropout):
    calls = []
    real = minibert.encoder.checkpoint
    monkeypatch.setattr(
        minibert.encoder, "checkpoint", lambda *a, **k: (calls.append(1), real(*a, **k))[1]
    )
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    kept, twice = small_model(**rates), small_model(**rates)
    expected = fit(kept, tokenizer)
    assert not calls
    history = fit(twice, tokenizer, checkpoint=True)
    assert len(calls) == 3 * 3, "three layers, three steps"
    assert not twice.bert.encoder.checkpointing
    assert history.losses == pytest.approx(expected.losses, abs=1e-6)
    assert_close(twice, kept)


# --- the model card ---------------------------------------------------------------------------


def test_card_tells_data_recipe_results_and_versions(start, tmp_path):
    labels = ["bad"] * 18 + ["good"] * 6
    settings = dict(seed=7, batch_size=8, layer_decay=0.9, patience=5, keep_best=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has learned nothing
        classifier = new(start, **settings).fit(TEXTS, labels, (TEXTS[12:], labels[12:]))
    classifier.save(tmp_path / "m", data="Made up for a test.")
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "transformers"
    for told in (
        "3 layers, 48 wide",
        f"`{start.name}`",
        "Made up for a test.",
        "24 texts for training: bad 18 (75.0%), good 6 (25.0%). 12 for development.",
        *(f"| {name} | {value} |" for name, value in settings.items()),
        *("| lr | 0.0001 |", "| epochs | 1 |", "| class_weight | None |"),
        *(
            f"| {e.step} | {e.accuracy:.2%} | {e.loss:.4f} |"
            for e in classifier.history_.evaluations
        ),
        f"The weights are those of step {classifier.history_.best.step}",
        # The model takes fewer tokens than were asked for.
        *("| max_length | 40 |", "| warmup | 0.06 |", "| weight_decay | 0.01 |", "| clip | 1.0 |"),
        "3 steps, 24 examples",
        *(f"torch {torch.__version__}", f"Python {platform.python_version()}"),
        f"numpy {np.__version__}",
    ):
        assert told in body, told
    assert str(start.parent) not in card, "no paths of this machine"
    TextClassifier.load(tmp_path / "m").save(tmp_path / "again")
    assert not (tmp_path / "again" / "README.md").exists(), "nothing is known of its training"


# --- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained_layers": -1}, "trained_layers is -1.*at least 0"),
        ({"trained_layers": 1.5}, "trained_layers is 1.5.*whole"),
        ({"trained_layers": 4}, "trained_layers is 4.*3"),
        ({"layer_decay": 0}, "layer_decay is 0.*above 0 and at most 1"),
        ({"layer_decay": 1.01}, "layer_decay is 1.01"),
        ({"layer_decay": math.nan}, "layer_decay is nan"),
        ({"layer_decay": "0.9"}, "layer_decay is '0.9'"),
        ({"weights": "randm"}, "weights is 'randm'.*'pretrained', 'random'"),
        ({"truncation": "tail"}, r"truncation is 'tail'.*'head', 'head\+tail'"),
        ({"patience": 0}, "patience is 0.*at least 1"),
        ({"patience": 2.0}, "patience is 2.0.*whole"),
        ({"keep_best": "no"}, "keep_best is 'no'.*True"),
        ({"accumulate": 0}, "accumulate is 0.*at least 1"),
        ({"accumulate": "2"}, "accumulate is '2'.*whole"),
        ({"checkpoint": "no"}, "checkpoint is 'no'.*True"),
    ],
)
def test_unusable_settings_are_refused(start, changes, message):
    with pytest.raises(ValueError, match=message):
        new(start, **changes).fit(TEXTS, LABELS, HALF)


def test_settings_reach_the_recipe(start, planned):
    settings = dict(layer_decay=0.9, patience=2, keep_best=True, accumulate=3, checkpoint=True)
    _, _, recipe = planned(new(start, seed=5, **settings), validation=HALF)
    expected = Recipe(epochs=1, lr=1e-4, seed=5, **settings)
    assert recipe == expected


# --- examples/transfer_learning.py ------------------------------------------------------------


@pytest.fixture()
def example(monkeypatch):
    """The example's main with these arguments, in this process."""
    path = ROOT / "examples" / "transfer_learning.py"
    spec = importlib.util.spec_from_file_location("transfer_learning", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        module.main()

    main.module = module
    return main


@pytest.mark.slow
def test_example_measures_draws_and_resumes(example, start, tmp_path, capsys):
    output, table = tmp_path / "out", tmp_path / "mine.csv"
    rows = [f"{'fine' if i % 2 else 'poor'} film {i},{'yes' if i % 2 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["text,label", *rows]))
    arguments = ["--model", start, "--data", table, "--output", output, "--methods", "frozen"]
    program = [sys.executable, ROOT / "examples" / "transfer_learning.py", *arguments]
    result = subprocess.run(
        [*map(str, program), "--sizes", "8,1000", "--seeds", "1"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "majority baseline" in result.stdout and "frozen encoder" in result.stdout
    assert (output / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    file = output / "fits.jsonl"
    _, *fits = map(json.loads, file.read_text().splitlines())
    # 54, since a tenth of 60 is held out, and there are not 1,000.
    assert [(fit["method"], fit["examples"]) for fit in fits] == [("frozen", 8), ("frozen", 54)]
    for fit in fits:
        assert 0 <= fit["accuracy"] <= 1 and fit["seconds"] > 0 and fit["steps"] >= 500

    whole = file.read_text()
    example(*arguments, "--sizes", "8,1000", "--seeds", 1, "--resume")
    told = capsys.readouterr().out
    assert "2 of 2 fits are in" in told and "after" not in told
    assert file.read_text() == whole, "nothing new was done"

    for changes, message in (
        ([], "exists; add --resume"),
        (["--resume", "--test-limit", 3], "test_limit was None and is now 3"),
    ):
        with pytest.raises(ValueError, match=message):
            example(*arguments, *changes)

    lines = whole.splitlines(keepends=True)
    file.write_text("".join(lines[:-1]) + lines[-1][:20])  # as a crash leaves it
    example(*arguments, "--sizes", "8", "--seeds", 1, "--resume")
    assert file.read_text() == "".join(lines[:-1])


def test_example_draws_the_classes_alternately_and_small_sets_from_large_ones(example):
    draw = example.module.balanced
    texts = minibert.data.LabelledTexts([f"text {i}" for i in range(50)], ["a"] * 40 + ["b"] * 10)
    few, more, most = (draw(texts, number, 3) for number in (10, 20, 50))
    assert few.labels.count("a") == few.labels.count("b") == 5
    assert more.labels.count("b") == 10 and set(few.texts) < set(more.texts)
    assert sorted(most.texts) == sorted(texts.texts), "then the rest"
    assert few == draw(texts, 10, 3) != draw(texts, 10, 4)
    assert all(
        texts.labels[texts.texts.index(t)] == y for t, y in zip(few.texts, few.labels, strict=True)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "full,freezing"], "'freezing'.*frozen"),
        (["--sizes", "16,many"], "'16,many'"),
        (["--sizes", "1"], "2 labels"),
        (["--seeds", "0"], "--seeds is 0"),
    ],
)
def test_example_refuses_bad_arguments_before_training(example, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        example(*arguments, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
