"""The model card tells what a model was made from, how, and how good it is."""

import platform
import warnings

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from minibert import BertConfig, TextClassifier
from minibert.training.history import Evaluation, History
from minibert.training.model_card import Fit, model_card
from minibert.training.results import Report
from tests.conftest import TEXTS, TINY
from tests.tasks.conftest import new


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
        "| lr | 0.0001 |",
        "| epochs | 1 |",
        "| class_weight | None |",
        *(
            f"| {e.step} | {e.accuracy:.2%} | {e.loss:.4f} |"
            for e in classifier.history_.evaluations
        ),
        f"The weights are those of step {classifier.history_.best.step}",
        # The model takes fewer tokens than were asked for.
        "| max_length | 40 |",
        "| warmup | 0.06 |",
        "| weight_decay | 0.01 |",
        "| clip | 1.0 |",
        "3 steps, 24 examples",
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
        f"numpy {np.__version__}",
    ):
        assert told in body, told
    assert str(start.parent) not in card, "no paths of this machine"
    TextClassifier.load(tmp_path / "m").save(tmp_path / "again")
    assert not (tmp_path / "again" / "README.md").exists(), "nothing is known of its training"


SETTINGS = {"model": "start", "weights": "pretrained", "keep_best": True, "metric": "f1_macro"}
EVALUATIONS = [
    Evaluation(0, 0.7, {"accuracy": 0.4, "f1_macro": 0.3, "f1:good": 0.2}),
    Evaluation(8, 0.6, {"accuracy": 0.6, "f1_macro": 0.6, "f1:good": 0.5}),
    Evaluation(16, 0.5, {"accuracy": 0.7, "f1_macro": 0.5, "f1:good": 0.3}),
]


def card_of(config=None, evaluations=EVALUATIONS, **fit):
    config = config or BertConfig(**TINY, labels=("bad", "good"))
    fit = Fit(**{"classes": {"bad": 2, "good": 1}, "held_out": 3, "settings": SETTINGS, **fit})
    history = History([0.7] * 16, list(evaluations), metric=fit.settings["metric"])
    card = model_card("mine", config, fit, history)
    return ModelCard(card), card.split("---\n", 2)[2]


def test_the_hub_reads_each_metric_by_its_own_name():
    evaluation = Evaluation(
        8, 0.5, {"accuracy": 0.75, "f1_macro": 0.5, "f1_micro": 0.25, "matthews_corrcoef": 0.1}
    )
    card, _ = card_of(evaluations=[evaluation])
    assert card.data.metrics == ["accuracy", "f1", "matthews_correlation"]
    assert [
        (r.metric_name, r.metric_type, r.metric_args, r.metric_value)
        for r in card.data.eval_results
    ] == [
        ("accuracy", "accuracy", None, 0.75),
        ("f1_macro", "f1", {"average": "macro"}, 0.5),
        ("f1_micro", "f1", {"average": "micro"}, 0.25),
        ("matthews_corrcoef", "matthews_correlation", None, 0.1),
        ("loss", "loss", None, 0.5),
    ]


@pytest.mark.parametrize(("metric", "step"), [("f1_macro", 8), (None, 16), ("loss", 16)])
def test_card_says_which_metric_chose_the_weights(metric, step):
    card, body = card_of(settings={**SETTINGS, "metric": metric})
    chosen = metric or "accuracy"
    assert f"The weights are those of step {step}, the best of these by {chosen}." in body
    kept = next(evaluation for evaluation in EVALUATIONS if evaluation.step == step)
    assert f"| f1_macro | {kept.metrics['f1_macro']:.4f} |" in body
    assert card.data.eval_results[1].metric_value == kept.metrics["f1_macro"]
    columns = "accuracy | f1_macro" if metric == "f1_macro" else "accuracy"
    assert f"| step | {columns} | loss, nats |" in body
    assert "f1:good" not in body


def test_a_metric_of_one_class_that_chose_the_weights_is_a_result():
    card, body = card_of(settings={**SETTINGS, "metric": "f1:good"})
    assert "| step | accuracy | f1:good | loss, nats |" in body and "| f1:good | 0.5000 |" in body
    assert [(r.metric_type, r.metric_name) for r in card.data.eval_results][2] == ("f1", "f1:good")


def test_card_shows_the_report_on_the_kept_weights():
    scores = np.float32([[0.95, 0.05], [0.35, 0.65], [0.25, 0.75]])
    report = Report.of("single_label_classification", [0, 0, 1], scores, ["bad", "good"])
    _, body = card_of(report=report)
    for line in (
        "| label | precision | recall | f1 | support |",
        "| bad | 1.0000 | 0.5000 | 0.6667 | 2 |",
        "| macro mean | 0.7500 | 0.7500 | 0.6667 | 3 |",
        "| bad | 1 | 1 |",
        "| good | 0 | 1 |",
        # One decision in each of three bins: (|0 - 0.65| + |1 - 0.75| + |1 - 0.95|) / 3.
        "Expected calibration error: 0.3167.",
    ):
        assert line in body, line


def test_a_card_of_many_labels_lists_the_first():
    labels = tuple(f"label-{i}" for i in range(150))
    ids = np.arange(150)
    report = Report.of("single_label_classification", ids, np.eye(150, dtype=np.float32), labels)
    config = BertConfig(**TINY, labels=labels)
    _, body = card_of(config, classes=dict.fromkeys(labels, 2), report=report)
    assert "label-19 and 130 more. transformers opens it" in body
    assert "label-19 2 (0.7%) and 130 more. 3 for development" in body
    assert "### Class by class" in body and "### Confusion" not in body
    assert max(map(len, body.splitlines())) < 1000


def test_a_card_of_another_task_has_its_words():
    config = BertConfig(**TINY, labels=("O", "B-PER"))
    evaluation = Evaluation(8, 0.5, {"f1": 0.75, "precision": 0.8, "recall": 0.7})
    card, body = card_of(
        config,
        [evaluation],
        classes={},
        texts=14,
        contents="200 words, 30 of them in 20 entities",
        settings={**SETTINGS, "metric": None},
        title="Tagger of words",
        purpose="to find PER",
        pipeline_tag="token-classification",
        architecture="BertForTokenClassification",
    )
    assert card.data.pipeline_tag == card.data.eval_results[0].task_type == "token-classification"
    assert card.data.metrics == ["f1", "precision", "recall"]
    assert "# Tagger of words\n" in body
    assert "from `start` to find PER. transformers opens it as BertForTokenClassification." in body
    assert "14 texts for training: 200 words, 30 of them in 20 entities. 3 for development" in body
    assert "| 8 | 0.7500 | 0.5000 |" in body


def test_a_card_of_numbers_tells_squared_errors():
    config = BertConfig(**TINY, labels=("stars",))
    evaluation = Evaluation(8, 0.5, {"r2": 0.25, "pearson": 0.5, "mean_squared_error": 1234.567})
    card, body = card_of(
        config,
        [evaluation],
        classes={},
        texts=14,
        settings={**SETTINGS, "metric": "pearson"},
        purpose="to predict a number",
    )
    assert card.data.metrics == ["r_squared", "pearsonr", "mse"]
    assert "| step | r2 | pearson | mean squared error |" in body
    assert "| mean_squared_error | 1235 |" in body
    assert "14 texts for training. 3 for development" in body and "stars" not in body
