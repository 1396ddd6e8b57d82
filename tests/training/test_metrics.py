"""Metrics are scikit-learn's and scipy's, to the last bits, and silent where they are undefined."""

import builtins
import json
import math
import re
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from minibert.training.history import Evaluation, History
from minibert.training.metrics import METRICS, check_metric, classification_metrics
from minibert.training.report import (
    CALIBRATION,
    CONFUSION,
    add_to_model,
    plot_calibration,
    plot_confusion,
    plot_history,
)
from minibert.training.results import LISTED, Report, markdown

pytestmark = pytest.mark.filterwarnings("error")
ONE, SEVERAL, NUMBERS = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)
LABELS = ["billing", "refund", "other", "never seen"]


def one_label(seed=0, texts=200, classes=4, missing=1):
    """(texts,) ids and (texts, classes) probabilities, more often right than by chance; the last
    classes are in no text."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes - missing, texts)
    scores = random.dirichlet(np.full(classes, 0.5), texts)
    scores[np.arange(texts), truth] += 0.4
    return truth, (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def several_labels(seed=0, texts=200, classes=4):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, (texts, classes))
    return truth, (0.7 * random.random(truth.shape) + 0.3 * truth).astype(np.float32)


def without_scikit_learn(monkeypatch):
    """As where it is not installed."""
    real = builtins.__import__

    def missing(name, *arguments, **keywords):
        if name.startswith(("sklearn", "scipy")):
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)


def means(truth, predicted):
    """Those of the macro and weighted averages, by scikit-learn's defaults."""
    found = {}
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = reference.precision_recall_fscore_support(
            truth, predicted, average=average, zero_division=0
        )
        found |= {f"precision_{average}": precision, f"recall_{average}": recall}
        found[f"f1_{average}"] = f1
    del found["precision_weighted"], found["recall_weighted"]
    return found


def of_each_class(truth, predicted):
    parts = reference.precision_recall_fscore_support(
        truth, predicted, labels=range(len(LABELS)), average=None, zero_division=0
    )
    return {
        f"{name}:{label}": values[i]
        for name, values in zip(("precision", "recall", "f1"), parts, strict=False)
        for i, label in enumerate(LABELS)
    }


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_one_label_are_those_of_scikit_learn(seed):
    truth, scores = one_label(seed)
    scores[:, 3] = 0 if seed else scores[:, 3]  # the class in no text is predicted, too, or never
    predicted = scores.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        balanced = reference.balanced_accuracy_score(truth, predicted)
    assert classification_metrics(ONE, truth, scores, LABELS) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, predicted),
            "balanced_accuracy": balanced,
            "matthews_corrcoef": reference.matthews_corrcoef(truth, predicted),
            **means(truth, predicted),
            **of_each_class(truth, predicted),
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_metrics_of_several_labels_are_those_of_scikit_learn(threshold):
    truth, scores = several_labels()
    predicted = (scores >= threshold).astype(int)
    assert classification_metrics(SEVERAL, truth, scores, LABELS, threshold) == pytest.approx(
        {
            "accuracy": reference.accuracy_score(truth, predicted),
            "f1_micro": reference.f1_score(truth, predicted, average="micro", zero_division=0),
            **means(truth, predicted),
            **of_each_class(truth, predicted),
        },
        abs=1e-12,
    )


def test_a_single_one_of_several_labels_is_no_pair_of_classes():
    """scikit-learn takes one column of 0 and 1 for two classes, and would score the zeros."""
    truth, scores = several_labels(classes=1)
    found = classification_metrics(SEVERAL, truth, scores, ["urgent"])
    wanted = reference.f1_score(truth.ravel(), scores.ravel() >= 0.5)
    assert found["f1:urgent"] == found["f1_micro"] == found["f1_macro"] == pytest.approx(wanted)


@pytest.mark.parametrize("columns", [1, 3])
def test_metrics_of_numbers_are_those_of_scikit_learn_and_scipy(columns):
    random = np.random.default_rng(columns)
    truth = random.normal(3, 2, (50, columns)).round()  # with ties
    scores = (truth + random.normal(0, 1, truth.shape)).astype(np.float32)
    found = classification_metrics(
        NUMBERS, truth[:, 0] if columns == 1 else truth, scores, ["x"] * columns
    )
    pairs = list(zip(truth.T, scores.T.astype(float), strict=True))
    assert found == pytest.approx(
        {
            "r2": reference.r2_score(truth, scores),
            "pearson": np.mean([stats.pearsonr(*pair).statistic for pair in pairs]),
            "spearman": np.mean([stats.spearmanr(*pair).statistic for pair in pairs]),
            "mean_squared_error": reference.mean_squared_error(truth, scores),
            "mean_absolute_error": reference.mean_absolute_error(truth, scores),
        },
        abs=1e-6,
    )


def test_matthews_is_the_published_formula():
    """Matthews 1975: (TP TN - FP FN) over the root of the four sums."""
    truth, scores = one_label(classes=2, missing=0)
    predicted = scores.argmax(axis=1)
    tp, tn, fp, fn = (
        int(((truth == t) & (predicted == p)).sum()) for t, p in ((1, 1), (0, 0), (0, 1), (1, 0))
    )
    wanted = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    found = classification_metrics(ONE, truth, scores, ["no", "yes"])["matthews_corrcoef"]
    assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("problem", "truth", "scores", "expected"),
    [
        (ONE, [0, 0], [[1, 0]] * 2, {"matthews_corrcoef": 0, "f1:b": 0, "f1_macro": 1}),
        (ONE, [0, 0], [[0, 1]] * 2, {"balanced_accuracy": 0, "recall:b": 0, "f1_macro": 0}),
        (ONE, [0, 1], [[1, 0]] * 2, {"matthews_corrcoef": 0, "precision:b": 0}),
        (ONE, [1], [[0, 1]], {"matthews_corrcoef": 0, "balanced_accuracy": 1}),
        (SEVERAL, [[0, 0]], [[0, 0]], {"accuracy": 1, "f1_micro": 0, "f1_weighted": 0}),
        (SEVERAL, [[1, 0]], [[0, 1]], {"precision:a": 0, "recall:b": 0, "f1_macro": 0}),
        (NUMBERS, [0.5] * 3, [[0.5]] * 3, {"r2": 1, "pearson": 0, "spearman": 0}),
        (NUMBERS, [1, 2, 3], [[0.1]] * 3, {"pearson": 0, "spearman": 0}),
        (NUMBERS, [0.1] * 3, [[1], [2], [3]], {"r2": 0, "pearson": 0, "spearman": 0}),
        (NUMBERS, [1], [[2]], {"r2": 0, "pearson": 0, "spearman": 0}),
    ],
)
def test_what_is_undefined_is_zero_in_silence(problem, truth, scores, expected):
    labels = ["x"] if problem == NUMBERS else ["a", "b"]
    found = classification_metrics(problem, np.array(truth), np.array(scores, np.float32), labels)
    assert all(math.isfinite(value) for value in found.values())
    assert {name: found[name] for name in expected} == expected
    Report.of(problem, np.array(truth), np.array(scores, np.float32), labels)


@pytest.mark.parametrize("problem", METRICS)
def test_the_first_metric_is_the_tasks_own_and_each_passes_the_check(problem):
    truth, scores = several_labels() if problem == SEVERAL else one_label()
    if problem == NUMBERS:
        truth = np.eye(len(LABELS))[truth]
    found = classification_metrics(problem, truth, scores, LABELS)
    assert list(found)[: len(METRICS[problem])] == list(METRICS[problem])
    assert all(type(value) is float for value in found.values()), "as a state is read back"
    for name in (*found, "loss"):
        check_metric(name, problem, LABELS)


@pytest.mark.parametrize(
    ("metric", "problem", "told"),
    [
        ("r2", ONE, "it must be one of loss, accuracy, balanced_accuracy, "),
        ("F1", ONE, "f1_macro, f1_weighted, matthews_corrcoef, precision:LABEL, "),
        ("matthews_corrcoef", SEVERAL, "loss, accuracy, f1_micro, "),
        ("accuracy", NUMBERS, "loss, r2, pearson, spearman, "),
        ("f1:billing", NUMBERS, "loss, r2, pearson, "),
        ("f1:refunds", ONE, "no such label, they are 'billing', 'refund', 'other', 'never seen'"),
        ("auc:refund", ONE, "it must be one of loss, "),
        ("f1", ONE, "it must be one of loss, "),
        (["f1_macro"], ONE, "metric is ['f1_macro']; "),
        (None, ONE, "metric is None; "),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_in_a_line(metric, problem, told):
    with pytest.raises(ValueError) as error:
        check_metric(metric, problem, LABELS)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_without_scikit_learn_the_tasks_own_metric_stays(monkeypatch):
    (truth, scores), (many, chosen) = one_label(), several_labels()
    numbers = scores[:, 0]
    full = [
        classification_metrics(ONE, truth, scores, LABELS),
        classification_metrics(SEVERAL, many, chosen, LABELS),
        classification_metrics(NUMBERS, truth, numbers[:, None], ["x"]),
    ]
    without_scikit_learn(monkeypatch)
    left = [
        classification_metrics(ONE, truth, scores, LABELS),
        classification_metrics(SEVERAL, many, chosen, LABELS),
        classification_metrics(NUMBERS, truth, numbers[:, None], ["x"]),
    ]
    del full[2]["spearman"]
    assert left == [{"accuracy": full[0]["accuracy"]}, {"accuracy": full[1]["accuracy"]}, full[2]]
    for metric, problem in (("f1:refund", ONE), ("f1_micro", SEVERAL), ("spearman", NUMBERS)):
        with pytest.raises(
            ImportError, match=r"needs scikit-learn: pip install -e '\.\[metrics\]'"
        ):
            check_metric(metric, problem, LABELS)
    for metric, problem in (("accuracy", ONE), ("loss", SEVERAL), ("r2", NUMBERS)):
        check_metric(metric, problem, LABELS)
    report = Report.of(ONE, truth, scores, LABELS)
    assert "confusion" in str(report) and "pip install -e '.[metrics]'" in str(report)
    with pytest.raises(ValueError, match="metrics"):
        plot_calibration(report)


def test_the_report_has_scikit_learns_confusion_matrix_and_table_by_class():
    truth, scores = one_label()
    report, predicted = Report.of(ONE, truth, scores, LABELS), scores.argmax(axis=1)
    matrix = reference.confusion_matrix(truth, predicted, labels=range(len(LABELS)))
    assert report.confusion.tolist() == matrix.tolist()
    wanted = reference.classification_report(
        truth,
        predicted,
        labels=range(len(LABELS)),
        target_names=LABELS,
        output_dict=True,
        zero_division=0,
    )
    for each in report.classes:
        told = wanted[each.label]
        assert (each.precision, each.recall, each.f1) == pytest.approx(
            (told["precision"], told["recall"], told["f1-score"])
        )
        assert each.support == told["support"]


def test_several_labels_are_told_one_by_one_and_have_no_confusion_matrix():
    truth, scores = several_labels()
    report = Report.of(SEVERAL, truth, scores, LABELS, threshold=0.6)
    assert [each.support for each in report.classes] == truth.sum(axis=0).tolist()
    assert report.classes[1].f1 == reference.f1_score(truth[:, 1], scores[:, 1] >= 0.6)
    assert report.confusion is None and "confusion" not in str(report)
    with pytest.raises(ValueError, match="no confusion matrix; there is one"):
        plot_confusion(report)


@pytest.mark.parametrize("problem", [ONE, SEVERAL])
def test_calibration_is_the_reliability_curve_and_its_distance_from_the_diagonal(problem):
    truth, scores = one_label() if problem == ONE else several_labels()
    found = Report.of(problem, truth, scores, LABELS).calibration
    right, probability = truth.ravel() == 1, scores.ravel()
    if problem == ONE:
        right, probability = scores.argmax(axis=1) == truth, scores.max(axis=1)
    shares, chances = calibration_curve(right, probability, n_bins=10)
    assert found.right == pytest.approx(shares) and found.probability == pytest.approx(chances)
    # Guo et al. 2017, equation 3, bin by bin.
    error = 0.0
    for low in np.linspace(0, 0.9, 10):
        inside = (probability > low) & (probability <= low + 0.1)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - probability[inside].mean())
    assert found.error == pytest.approx(error, abs=1e-6)
    assert sum(found.decisions) == len(right)


def test_numbers_have_a_report_of_their_own():
    report = Report.of(NUMBERS, [1.0, 2.0, 4.0], np.float32([[1], [2], [3]]), ["stars"])
    assert list(report.metrics) == list(METRICS[NUMBERS])
    assert report.as_dict() == {"examples": 3, "metrics": report.metrics}
    assert str(report).splitlines()[0].split() == ["metric", "3", "examples"]
    assert "by class" not in str(report) and "scikit-learn" not in str(report)


def test_a_report_is_ready_for_json():
    truth, scores = one_label()
    report = Report.of(ONE, truth, scores, LABELS)
    told = json.loads(json.dumps(report.as_dict()))
    assert told["metrics"] == report.metrics and set(told["labels"]) == set(LABELS)
    refund = told["confusion"]["refund"]
    assert [refund.get(label, 0) for label in LABELS] == report.confusion[1].tolist()
    assert "never seen" not in told["confusion"], "no text has it"


def test_of_many_classes_the_most_frequent_are_listed():
    truth, scores = one_label(texts=3000, classes=500, missing=0)
    truth[:1000] = 123
    report = Report.of(ONE, truth, scores, [f"label {i}" for i in range(500)])
    rows = report.class_rows()
    assert len(rows) == LISTED + 2 and "label 123" in [row[0] for row in rows]
    assert rows[-1][-1] == "3000", "the means are over all"
    assert len(report.confusion_rows()) == LISTED + 1
    assert "confusion (rows: truth, columns: prediction), 20 of 500 labels" in str(report)


@pytest.mark.parametrize(("texts", "told"), [(10, []), (9, ["rare (9)"]), (0, ["rare (0)"])])
def test_a_class_of_few_texts_is_named(texts, told):
    truth = [0] * 20 + [1] * texts
    report = Report.of(ONE, truth, np.eye(2, dtype=np.float32)[truth], ["often", "rare"])
    last = str(report).splitlines()[-1]
    assert ([last.rpartition(": ")[2]] if last.startswith("fewer than 10 texts") else []) == told


def test_a_notebook_shows_the_same_tables():
    truth, scores = one_label()
    report = Report.of(ONE, truth, scores, LABELS)
    shown = report._repr_markdown_()
    for rows in (report.metric_rows(), report.class_rows(), report.confusion_rows()):
        assert markdown(rows) in shown
    words = [re.findall(r"[\w.%]+", text) for text in (shown, str(report))]
    assert words[0] == words[1]


def test_labels_of_any_text_stay_in_their_cells():
    labels = ["a|b", "two\nlines", "x" * 100]
    report = Report.of(ONE, [0, 1, 2], np.eye(3, dtype=np.float32), labels)
    table = markdown(report.class_rows()).splitlines()
    assert [line.replace("\\|", "").count("|") for line in table] == [6] * 6
    assert max(map(len, str(report).splitlines())) < 100
    assert list(report.as_dict()["labels"]) == labels


def test_pictures_are_drawn_with_the_labels_as_they_are():
    truth, scores = one_label()
    report = Report.of(ONE, truth, scores, ["$x^$", "a_b", "c", "d"])
    axes = plot_confusion(report).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["$x^$", "a_b", "c", "d"]
    assert [int(text.get_text()) for text in axes.texts] == report.confusion.ravel().tolist()
    curve, histogram = plot_calibration(report).axes
    assert curve.lines[1].get_xdata().tolist() == list(report.calibration.probability)
    assert [bar.get_height() for bar in histogram.patches] == list(report.calibration.decisions)


def test_pictures_and_log_lie_beside_the_model(tmp_path):
    truth, scores = one_label()
    (tmp_path / "run.jsonl").write_text("{}\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")

    def fails():
        raise ImportError("drawing needs matplotlib")

    told = add_to_model(
        tmp_path / "model",
        tmp_path / "run.jsonl",
        fails,
        Report.of(ONE, truth, scores, LABELS),
    )
    assert "no learning curve: drawing needs matplotlib" in told
    written = {path.name for path in (tmp_path / "model").iterdir()}
    assert written == {"config.json", "run.jsonl", CONFUSION, CALIBRATION}


@pytest.mark.parametrize("metric", [None, "spearman", "loss"])
def test_the_learning_curve_is_that_of_the_tasks_metric(metric):
    evaluations = [
        Evaluation(step, 4.0 - step, {"r2": step - 2.5, "spearman": 0.2 * step})
        for step in range(4)
    ]
    history = History([3.0, 2.0, 1.0], evaluations)
    left, right = plot_history(history, metric=metric, loss="mean squared error").axes
    assert left.get_ylabel() == "mean squared error"
    wanted = {None: [-2.5, -1.5, -0.5, 0.5], "spearman": [0, 0.2, 0.4, 0.6], "loss": [4, 3, 2, 1]}
    assert list(right.lines[0].get_ydata()) == pytest.approx(wanted[metric])
    assert right.get_title() == (metric or "r2") and len(right.lines) == 1, "no baseline was given"
