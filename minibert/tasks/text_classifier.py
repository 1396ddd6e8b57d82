"""TextClassifier: fine-tune on texts and labels, predict, save; three lines for the whole book."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from minibert.checkpoint.arguments import check_choice, real_number
from minibert.checkpoint.config_json import ProblemType
from minibert.checkpoint.pretrained import Pretrained
from minibert.checkpoint.schema import get, number, one_of, whole
from minibert.config import BertConfig
from minibert.engine.long_texts import CUTTINGS, Cutting, check_cutting
from minibert.engine.rule import Precision
from minibert.engine.streams import Stream, encode_texts
from minibert.heads import BertForClassification
from minibert.tasks.finetuned import STRIDE_KEY, FineTuned, Start
from minibert.tasks.held_out import HeldOut, report_of, scores_of
from minibert.tasks.labels import check_as_many
from minibert.tasks.problems import PROBLEMS, OneLabel, Problem, read_problem
from minibert.tasks.settings import told
from minibert.tasks.starting import starting_model
from minibert.tasks.training_data import checked_weights, examples_of, texts_and_labels
from minibert.text.inputs import Text, listed
from minibert.text.windows import STRIDE
from minibert.tokenizer import Row
from minibert.training.batches import (
    Classification,
)
from minibert.training.finetune import finetune_classifier
from minibert.training.loop import run_arguments
from minibert.training.metrics import check_metric
from minibert.training.results import Report

# Keys of config.json by which a saved classifier remembers how texts were cut, and from which
# probability on a label counts. Other readers keep them and pay no attention.
_TRUNCATION, _THRESHOLD = "minibert_truncation", "minibert_threshold"
_IS_CUTTING = one_of(*CUTTINGS)
_SHARE = "from 0 to 1"


@dataclass(eq=False, kw_only=True)
class TextClassifier(FineTuned):
    """A classifier for texts, or (text, pair) tuples: BERT or one of its variants.

    It follows scikit-learn's conventions without needing scikit-learn. `model` is what to start
    from: a folder, an alias or a hub name; the other settings are the keywords of its signature. A
    pair is a tuple, not a string with separators between ("a </s></s> b"): such a string is taken
    for one text, and a name of a special token in it for that token.

    problem_type is what is to be said of each text, in the words of config.json: one of several
    labels (single_label_classification); any number of them (multi_label_classification: labels are
    lists, tuples or sets, and a label is predicted from a probability of `threshold` on); or a
    number (regression).

    From a classifier of the same labels, training goes on with its head; any other head is replaced
    by a new one, with a warning where it was a trained one. Each `fit` starts from `model` anew. A
    classifier that was loaded, or a clone of one, refuses to be fitted, for in a cross-validation
    it would start from what it learned of the texts it is tested on.

    epochs=None takes 3 epochs or, of few texts, as many as make 100 steps, and says so: small data
    needs as many steps as large data. An explicit number is taken as it is.

    trained_layers=None trains everything; k the head, which includes the pooler, and the last k
    layers; 0 the head alone, in seconds, on vectors computed once (it wants a higher lr, say 1e-3,
    and more epochs). layer_decay is the factor by which each layer down learns slower.
    ALBERT's layers share their weights, so it takes neither k nor a layer_decay below 1.
    weights="random" takes the model's shape without what it knows, to compare with.

    max_length=None takes 128 tokens, special ones included, or what the model takes if that is
    less. truncation says what to keep of longer texts: the "head"; or "head+tail", a quarter of the
    room for the beginning and the rest for the end; or all, in "windows" that share `stride`
    tokens. Then a text's scores are those of the mean of its windows' outputs, by their tokens, and
    in training each text counts as much as any other, whatever its length.

    class_weight says how much texts of each class count, {label: weight}; "balanced" counts a class
    as much as it is rare. precision="bf16" trains in bfloat16 with fp32 weights; `load` has one for
    predictions. device=None takes CUDA where there is one. metric says by which of the metrics of
    `minibert.training.metrics` patience and keep_best choose, which need validation data. They, and
    accumulate and checkpoint, for less memory, are those of `minibert.training.recipe.Recipe`.

    After `fit` or `load`: `classes_`, the labels in the order of probabilities (not of numbers);
    `model_`, `tokenizer_`; `history_` (losses and evaluations) after `fit` only.

    >>> classifier = TextClassifier("minilm-l6", epochs=5, seed=1)
    >>> classifier
    TextClassifier(model='minilm-l6', epochs=5, ...seed=1, ...)
    >>> classifier.set_params(epochs=1).epochs
    1
    """

    problem_type: ProblemType = field(
        default="single_label_classification",
        metadata=told("what to say of a text: one label, several, or a number"),
    )
    class_weight: Literal["balanced"] | Mapping[Any, float] | None = field(
        default=None, metadata=told("how much each class counts; balanced: as much as it is rare")
    )
    truncation: Cutting = field(
        default="head", metadata=told("what is read of texts longer than max_length")
    )
    stride: int = field(default=STRIDE, metadata=told("tokens that two windows share"))
    threshold: float = field(
        default=0.5, metadata=told("of several labels: the probability from which one counts")
    )

    model_class = BertForClassification
    trained_ones = (
        "a classifier of texts, such as distilbert/distilbert-base-uncased-finetuned-sst-2-english "
        "or one that `minibert train` made"
    )

    @torch.inference_mode(False)
    def fit(
        self,
        texts: Iterable[Text],
        labels: Iterable[Any],
        validation: tuple[Iterable[Text], Iterable[Any]] | None = None,
        *,
        sample_weight: Iterable[float] | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        save_every: int = 500,
    ) -> TextClassifier:
        """Fine-tune the model; labels may be strings, integers or booleans, several for each text
        or numbers, see `problem_type`.

        validation: texts and labels to evaluate on before training and after each epoch; they
        influence the result only through `patience` and `keep_best`. sample_weight: how much each
        text counts. folder, resume, save_every: for a run that survives a crash, see
        `minibert.training.loop.train`. Raises `ValueError` for data or settings that cannot be
        used, before anything is trained; warns if there are few steps, or if the trained model says
        the same of every text. Raises `FloatingPointError` when training fails because a loss or
        the weights are no longer numbers.
        """
        check_choice("problem_type", self.problem_type, get_args(ProblemType))
        kind = PROBLEMS[self.problem_type]
        texts, labels = listed(texts), kind.listed(labels, "labels")
        held = None if validation is None else texts_and_labels(validation, kind)
        recipe = self._recipe(len(texts), held is not None)
        run_arguments(folder, resume, save_every)
        check_as_many(len(texts), labels, "labels")
        problem = kind.of(labels)
        targets = problem.targets(labels, len(texts), "labels")
        class_weights = self._class_weights(problem, targets)
        weights = checked_weights(sample_weight, len(texts))
        held_targets = []
        if held is not None:
            held_targets = problem.targets(held[1], len(held[0]), "validation labels")
        if self.metric is not None:
            check_metric(self.metric, self.problem_type, problem.labels.names)
        threshold = self._checked_threshold()
        start = self._start()
        model = starting_model(start.folder, problem, self.weights, int(self.seed))
        model = model.to(start.device)
        model.config = self._described(model.config, self._remembered_of(problem))

        rows = self._rows(start, texts, "training texts")
        examples = examples_of(rows, targets, weights)
        task = Classification(
            examples,
            start.tokenizer,
            int(self.batch_size),
            recipe.seed,
            class_weights,
            self.problem_type,
        )
        held_out = None
        if held is not None:
            held_rows = self._rows(start, held[0], "validation texts")
            held_out = HeldOut(problem, held_rows, held_targets, threshold, self.metric)
            task.settings["validation"] = held_out.fingerprint  # it decides when to stop
        self._tell_steps(recipe.epochs, len(texts), task.steps_per_epoch)
        history = finetune_classifier(
            model,
            task,
            recipe,
            held_out=None if held_out is None else held_out.all_rows,
            judge=None if held_out is None else held_out.judge,
            trained_layers=self.trained_layers,
            folder=folder,
            resume=resume,
            save_every=save_every,
        )
        problem.end(model.classifier)
        scores = report = None
        if held_out is not None:
            scores = held_out.scores(model, start.tokenizer, history, recipe)
            report = report_of(problem, held_targets, scores, threshold)
        self._problem = problem  # with the model it belongs to, and not before
        self._end(
            start,
            model,
            recipe,
            history,
            classes=problem.counts(targets),
            texts=len(texts),
            contents=problem.contents(targets),
            held_out=len(held_targets),
            report=report,
            purpose=problem.made_to,
        )
        # Held-out texts of one label would look the same if the model were perfect.
        if scores is None or held_out is None or not held_out.differ:
            some = rows[:: max(1, len(rows) // 256)]
            scores = scores_of(problem, model, start.tokenizer, some)
        self._check_finite(scores)
        problem.warn_of_sameness(scores, threshold)
        return self

    @property
    def classes_(self) -> np.ndarray:
        """The labels in the order of probabilities, (L,). There are none before `fit` or `load`,
        nor of numbers; then this is an `AttributeError`, as scikit-learn has it."""
        if not self.__sklearn_is_fitted__() or self._problem.problem_type == "regression":
            raise AttributeError("this TextClassifier has no classes_")
        return self._problem.labels.classes

    def predict_proba(self, texts: Iterable[Text]) -> np.ndarray:
        """The probability of each class: float32 (texts, L), columns as `classes_`.

        texts: a list, or anything that can be iterated, read as it is needed: a generator, an open
        file. Raises `ValueError` for an item that is not a text; the probabilities of the texts
        before it are the error's attribute `finished`. An error of the iterable itself has it, too,
        and so has Ctrl-C, for the work that was complete.
        """
        self._check_fitted()
        if self._problem.problem_type == "regression":
            raise ValueError("this model predicts numbers, which have no probabilities; predict")
        return self._scores(texts)

    def predict_log_proba(self, texts: Iterable[Text]) -> np.ndarray:
        """The logarithms of `predict_proba`; minus infinity of a probability of 0."""
        with np.errstate(divide="ignore"):
            return _of_finished(np.log, self.predict_proba, texts)

    def predict(self, texts: Iterable[Text]) -> np.ndarray:
        """What is said of each text, (texts,): the most probable label, of the kind given to `fit`;
        of several labels a tuple of those that are probable enough; of numbers float32.

        texts and errors as for `predict_proba`, where `finished` holds predictions instead.
        """
        self._check_fitted()
        threshold = self._checked_threshold()
        return _of_finished(
            lambda scores: self._problem.predictions(scores, threshold), self._scores, texts
        )

    def stream(
        self, texts: Iterable[Text], window: int | None = None
    ) -> Iterator[tuple[Text, np.ndarray]]:
        """Each text with its probabilities, or numbers, (L,), as soon as they are known: for
        endless streams.

        window: how many texts are read ahead and computed together at most; None takes 4096, which
        is fast, and 1 answers each text before the next is read. Errors, those of `predict_proba`,
        come after the results of all texts before them.
        """
        return self._stream().stream(texts, window)

    def score(self, texts: Iterable[Text], labels: Iterable[Any]) -> float:
        """Accuracy, 0 to 1, of texts as for `predict` and labels that training had; of several
        labels a text the share with all of them right; of numbers R^2, at most 1."""
        return self.evaluate(texts, labels).metrics[self._problem.metric]

    def evaluate(self, texts: Iterable[Text], labels: Iterable[Any]) -> Report:
        """How good the predictions are, class by class: see `minibert.training.results.Report`.

        Precision, recall, F1 and calibration need scikit-learn (`pip install -e '.[metrics]'`);
        without it the report has what needs nothing.
        """
        self._check_fitted()
        texts = listed(texts)
        targets = self._problem.targets(labels, len(texts), "labels")
        return report_of(self._problem, targets, self._scores(texts), self._checked_threshold())

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
        device: str | None = None,
        truncation: Cutting | None = None,
        stride: int | None = None,
        threshold: float | None = None,
    ) -> TextClassifier:
        """Open any folder or hub model with a BertForSequenceClassification, or a variant's.

        max_length: None for the one it was trained with, or else the longest the model takes.
        truncation, stride, threshold: None for those that it was saved with or, if it does not say,
        as in the constructor. precision: what predictions are computed in, see `minibert.optimize`;
        `model_` and what `save` writes are in fp32 whatever it is. device: None takes CUDA where
        there is one.
        """
        return cls._loaded(
            dir_or_name,
            max_length,
            precision,
            device,
            truncation=truncation,
            stride=stride,
            threshold=threshold,
        )

    @classmethod
    def _check_model(cls, model: Pretrained, name: str | Path) -> None:
        config: BertConfig = model.config
        if config.problem != "regression" and config.num_labels < 2:
            raise ValueError(
                f"{name} has {config.num_labels} label(s) and is made for {config.problem}; "
                "TextClassifier tells two or more classes apart; use BertForClassification"
            )
        super()._check_model(model, name)
        if len(set(config.labels)) < config.num_labels:
            raise ValueError(f"{name} names some labels twice: {config.labels}")

    def _recall(self, config: BertConfig) -> None:
        super()._recall(config)
        self._problem = read_problem(config)
        self.problem_type = self._problem.problem_type
        self.truncation = get(config.extra, _TRUNCATION, _IS_CUTTING, self.truncation)
        self.stride = get(config.extra, STRIDE_KEY, whole(), self.stride)
        self.threshold = get(config.extra, _THRESHOLD, number(_is_share, _SHARE), self.threshold)

    def _check_reading(self, max_length: int) -> None:
        check_cutting(self.truncation, self.stride, max_length)
        self._checked_threshold()

    def _checked_threshold(self) -> float:
        return real_number("threshold", self.threshold, _SHARE, _is_share)

    def _class_weights(self, problem: Problem, targets: list[Any]) -> Tensor | None:
        if self.class_weight is not None and not isinstance(problem, OneLabel):
            raise ValueError(
                f"class_weight is for one label a text, not for {self.problem_type}; give fit "
                "sample_weight, a number for each text"
            )
        return problem.labels.weights(self.class_weight, targets)

    def _rows(self, start: Start, texts: Sequence[Text], name: str) -> list[list[Row]]:
        return encode_texts(
            start.tokenizer, texts, start.max_length, name, self.truncation, self.stride
        )

    def _scores(self, texts: Iterable[Text]) -> np.ndarray:
        return self._stream().collect(texts)

    def _stream(self) -> Stream:
        """The fitted model as it stands, for texts to go through."""
        self._check_fitted()
        model = self._engine.optimized(self.model_)
        max_length = self._row_length()
        return Stream(
            model,
            self.tokenizer_,
            compute=lambda batch: model(**batch).logits,
            width=model.config.num_labels,
            max_length=max_length,
            truncation=self.truncation,
            stride=self.stride,
            finish=self._problem.scores,
        )

    def _remembered(self) -> Mapping[str, Any]:
        return self._remembered_of(self._problem)

    def _remembered_of(self, problem: Problem) -> Mapping[str, Any]:
        remembered = {**problem.remembered, _TRUNCATION: self.truncation}
        if self.truncation == "windows":
            remembered[STRIDE_KEY] = int(self.stride)
        if problem.problem_type == "multi_label_classification":
            remembered[_THRESHOLD] = self._checked_threshold()
        return remembered

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.problem_type == "regression":
            from sklearn.utils import RegressorTags

            tags.estimator_type, tags.classifier_tags = "regressor", None
            tags.regressor_tags = RegressorTags()
        elif self.problem_type == "multi_label_classification":
            tags.classifier_tags.multi_label = True
        return tags


def _is_share(value: float) -> bool:
    return 0 <= value <= 1


def _of_finished(
    convert: Callable[[np.ndarray], np.ndarray],
    compute: Callable[[Iterable[Text]], np.ndarray],
    texts: Iterable[Text],
) -> np.ndarray:
    """What is computed of the texts, converted; so is what an error has finished."""
    try:
        return convert(compute(texts))
    except BaseException as error:
        if hasattr(error, "finished"):
            error.finished = convert(error.finished)
        raise
