"""TextClassifier: fine-tune on texts and labels, predict, save; three lines for the whole book.

It follows scikit-learn's conventions without needing scikit-learn.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from minibert.checkpoint.files import new_model_folder
from minibert.checkpoint.hub import find_folder
from minibert.config import BertConfig
from minibert.engine.bodies import Precision, check_precision
from minibert.engine.optimize import Engine
from minibert.engine.streams import (
    Stream,
    check_vocabulary,
    compute_rows,
    encode_texts,
    find_device,
)
from minibert.heads import BertForClassification
from minibert.tokenizer import TRUNCATIONS, Row, Text, Truncation, WordPieceTokenizer, listed
from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head, first_vectors
from minibert.training.loop import Evaluation, History, Recipe, train
from minibert.training.optimizer import train_only_last
from minibert.training.ranks import Ranks
from minibert.training.report import model_card

# Keys of config.json by which a saved classifier remembers that its labels were numbers, and to how
# many tokens its texts were cut, and where. Other readers keep them and pay no attention.
_LABEL_TYPE, _MAX_LENGTH = "minibert_label_type", "minibert_max_length"
_TRUNCATION = "minibert_truncation"
_LABEL_TYPES: dict[str, Callable[[str], Any]] = {"int": int, "bool": lambda name: name == "True"}
# Above this, full fine-tuning tends to end up predicting one class (Mosbach et al. 2021).
_HIGH_LR = 1e-4


class TextClassifier:
    """A BERT classifier for texts, or (text, pair) tuples.

    model: a folder, an alias or a hub name to start from. epochs, batch_size, lr, seed: the recipe,
    see `minibert.training.loop.Recipe`. max_length: tokens a text is cut to, special ones included.
    precision: "fp32", or "bf16" for training in bfloat16 with fp32 weights; `load` has one for
    predictions. device: as for torch; None takes CUDA where there is one.

    trained_layers: None trains everything; k the head, which includes the pooler, and the last k
    layers; 0 the head alone, in seconds, on vectors computed once (it wants a higher lr, say 1e-3,
    and more epochs).
    layer_decay: the factor by which each layer down learns slower. weights: "pretrained", or
    "random" for the model's shape without what it knows, to compare with.
    class_weight: how much texts of each class count, {label: weight}, or "balanced" for as much as
    the class is rare. truncation: what to keep of texts that are too long, the "head", or
    "head+tail", a quarter of the room for the beginning and the rest for the end.
    patience, keep_best: see `Recipe`; both need validation data. accumulate, checkpoint: see
    `Recipe`, for less memory.

    >>> classifier = TextClassifier().fit(["I loved it", "A waste of time"], ["good", "bad"])
    >>> classifier.classes_
    array(['bad', 'good'], dtype='<U4')
    >>> classifier.predict_proba(["Wonderful", "Dull", "So-so"]).shape
    (3, 2)

    After `fit` or `load`: `classes_`, the labels in the order of probabilities; `model_`,
    `tokenizer_`; `history_` (losses and evaluations) after `fit` only.
    """

    _parameters = (
        *("model", "epochs", "batch_size", "lr", "max_length", "precision", "seed", "device"),
        *("trained_layers", "layer_decay", "weights", "class_weight", "truncation"),
        *("patience", "keep_best", "accumulate", "checkpoint"),
    )

    def __init__(
        self,
        model: str | Path = "minilm-l6",
        *,
        epochs: int = 3,
        batch_size: int = 32,
        lr: float = 5e-5,
        max_length: int = 128,
        precision: Literal["fp32", "bf16"] = "fp32",
        seed: int = 0,
        device: str | None = None,
        trained_layers: int | None = None,
        layer_decay: float = 1.0,
        weights: Literal["pretrained", "random"] = "pretrained",
        class_weight: Literal["balanced"] | Mapping[Any, float] | None = None,
        truncation: Truncation = "head",
        patience: int | None = None,
        keep_best: bool = False,
        accumulate: int = 1,
        checkpoint: bool = False,
    ) -> None:
        # scikit-learn's rule: keep the arguments as they came, check them in fit.
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.max_length = max_length
        self.precision = precision
        self.seed = seed
        self.device = device
        self.trained_layers = trained_layers
        self.layer_decay = layer_decay
        self.weights = weights
        self.class_weight = class_weight
        self.truncation = truncation
        self.patience = patience
        self.keep_best = keep_best
        self.accumulate = accumulate
        self.checkpoint = checkpoint

    def fit(
        self,
        texts: Sequence[Text],
        labels: Sequence[Hashable],
        validation: tuple[Sequence[Text], Sequence[Hashable]] | None = None,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        save_every: int = 500,
    ) -> TextClassifier:
        """Fine-tune the model; labels may be strings, integers or booleans.

        validation: texts and labels to evaluate on before training and after each epoch; they
        influence the result only through `patience` and `keep_best`. folder, resume, save_every:
        for a run that survives a crash, see `minibert.training.loop.train`. Raises `ValueError` for
        data or settings that cannot be used, before anything is trained; warns if the trained model
        predicts one class only.
        """
        texts, labels = listed(texts), list(labels)
        self._check_settings(validation is not None)
        classes = _classes(texts, labels)
        model, tokenizer = self._new_model(classes)
        max_length = model.config.extra[_MAX_LENGTH]

        ids = {label: i for i, label in enumerate(classes.tolist())}
        rows = encode_texts(tokenizer, texts, max_length, "training texts", self.truncation)
        examples = Examples(rows, [ids[_plain(label)] for label in labels])
        held_out = None
        if validation is not None:
            held_out = _held_out(tokenizer, ids, validation, max_length, self.truncation)
        task = Classification(
            examples,
            tokenizer,
            int(self.batch_size),
            int(self.seed),
            _class_weights(self.class_weight, ids, examples.labels),
        )
        if held_out is not None:  # it decides when to stop, and what is best
            task.settings["validation"] = held_out.fingerprint
        recipe = Recipe(  # of plain numbers: settings may come as numpy's
            epochs=int(self.epochs),
            lr=float(self.lr),
            layer_decay=float(self.layer_decay),
            precision=self.precision,
            accumulate=int(self.accumulate),
            checkpoint=bool(self.checkpoint),
            seed=int(self.seed),
            patience=None if self.patience is None else int(self.patience),
            keep_best=bool(self.keep_best),
        )
        history = _train(
            model,
            tokenizer,
            task,
            held_out,
            recipe,
            self.trained_layers,
            folder=folder,
            resume=resume,
            save_every=save_every,
        )
        self.model_, self.tokenizer_, self.classes_ = model, tokenizer, classes
        self._engine = Engine()
        self.history_: History = history
        self._training = {
            "texts": len(texts),
            "classes": dict(Counter(str(_plain(label)) for label in labels)),
            "validation texts": 0 if held_out is None else len(held_out),
            "recipe": {
                **self.get_params(),
                "max_length": max_length,  # the model may take less than was asked for
                **{name: getattr(recipe, name) for name in ("warmup", "weight_decay", "clip")},
            },
            "processes": Ranks().number,
        }
        # Held-out texts of one label would look the same if the model were perfect.
        mixed = held_out if held_out and len(set(held_out.labels)) > 1 else examples
        self._warn_of_one_class(mixed)
        return self

    def predict_proba(self, texts: Iterable[Text]) -> np.ndarray:
        """The probability of each class: float32 (texts, L), columns as `classes_`.

        texts: a list, or anything that can be iterated, read as it is needed: a generator, an open
        file. Raises `ValueError` for what is no text; the probabilities of the texts before it are
        the error's attribute `finished`. So it is with whatever the iterable raises, and with
        Ctrl-C as far as work was complete.
        """
        return self._probabilities(texts)

    def predict(self, texts: Iterable[Text]) -> np.ndarray:
        """The most probable label of each text, (texts,), of the kind given to `fit`.

        texts and errors as for `predict_proba`, where `finished` holds labels instead.
        """
        try:
            proba = self._probabilities(texts)
        except BaseException as error:
            if hasattr(error, "finished"):
                error.finished = self.classes_[error.finished.argmax(axis=1)]
            raise
        return self.classes_[proba.argmax(axis=1)]

    def stream(
        self, texts: Iterable[Text], window: int | None = None
    ) -> Iterator[tuple[Text, np.ndarray]]:
        """Each text with its probabilities, (L,), as soon as they are known: for endless streams.

        window: how many texts are read ahead and computed together at most; None takes 4096, which
        is fast, and 1 answers each text before the next is read. Errors, those of `predict_proba`,
        come after the results of all texts before them.
        """
        return self._stream().stream(texts, window)

    def score(self, texts: Sequence[Text], labels: Sequence[Hashable]) -> float:
        """Accuracy, 0 to 1."""
        self._check_fitted()
        ids = {label: i for i, label in enumerate(self.classes_.tolist())}
        wanted = _ids_of(labels, ids, len(texts), "labels")
        return float((self._probabilities(texts).argmax(axis=1) == wanted).mean())

    def save(self, folder: str | Path, overwrite: bool = False, data: str = "") -> None:
        """Write a model folder that transformers and `load` open; whole or not at all.

        After `fit` it has a model card, README.md, with recipe and results; data: what the texts
        are, to be told there.
        """
        self._check_fitted()
        with new_model_folder(folder, overwrite) as unfinished:
            self.model_.write_files(unfinished)
            self.tokenizer_.write_files(unfinished)
            if hasattr(self, "history_"):
                card = model_card(self.model_.config, self._training, self.history_, data)
                (unfinished / "README.md").write_text(card, encoding="utf-8")

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> TextClassifier:
        """Open any folder or hub model with a BertForSequenceClassification.

        max_length: None for the one it was trained with, or else the longest the model takes.
        precision: what predictions are computed in, see `minibert.optimize`; `model_` and what
        `save` writes are in fp32 whatever it is.
        """
        check_precision(precision)
        folder = find_folder(dir_or_name)
        model = BertForClassification.from_pretrained(folder)
        config = model.config
        longest = config.extra.get(_MAX_LENGTH, config.max_position_embeddings)
        truncation = config.extra.get(_TRUNCATION, "head")
        self = cls(
            model=dir_or_name,
            max_length=max_length or longest,
            precision=precision,  # type: ignore[arg-type]
            device=device,
            truncation=truncation if truncation in TRUNCATIONS else "head",
        )
        if config.problem != "single_label_classification" or config.num_labels < 2:
            raise ValueError(
                f"{dir_or_name} has {config.num_labels} label(s) and is made for {config.problem}; "
                "TextClassifier tells two or more classes apart, of which one is right; use "
                "BertForClassification for other problems"
            )
        if model.load_report and model.load_report.newly_initialised:
            raise ValueError(
                f"{dir_or_name} is no trained classifier of texts: it has no weights for "
                f"{', '.join(model.load_report.newly_initialised)}, or those of another task; "
                "train them with "
                f"TextClassifier(model={str(dir_or_name)!r}).fit(texts, labels)"
            )
        if len(set(config.labels)) < config.num_labels:
            raise ValueError(f"{dir_or_name} names some labels twice: {config.labels}")
        tokenizer = WordPieceTokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, config)
        self.classes_ = _read_classes(config)
        self.model_, self.tokenizer_ = model.to(find_device(device)), tokenizer
        self._engine = Engine(precision)
        return self

    # --- scikit-learn's protocol ---------------------------------------------------------------

    _estimator_type = "classifier"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self._parameters}

    def set_params(self, **parameters: Any) -> TextClassifier:
        """Change constructor arguments. `max_length` and `truncation` count for the next texts,
        the others from the next `fit` on."""
        for name, value in parameters.items():
            if name not in self._parameters:
                raise ValueError(
                    f"{name!r} is no parameter; they are {', '.join(self._parameters)}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; only scikit-learn calls it."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"TextClassifier({arguments})"

    def _probabilities(self, texts: Iterable[Text]) -> np.ndarray:
        return self._stream().collect(texts)

    def _stream(self) -> Stream:
        """The fitted model as it stands, for texts to go through."""
        self._check_fitted()
        model = self._engine.optimized(self.model_)
        return Stream(
            model,
            self.tokenizer_,
            compute=lambda batch: model(**batch).logits.float().softmax(dim=-1),
            width=model.config.num_labels,
            max_length=min(self.max_length, model.config.max_position_embeddings),
            truncation=self.truncation,
        )

    def _new_model(self, classes: np.ndarray) -> tuple[BertForClassification, WordPieceTokenizer]:
        """The pre-trained model with a new head for these classes, and its tokenizer."""
        device, folder = find_device(self.device), find_folder(self.model)
        # The seed decides the new head's weights, too; the caller's generators are left alone.
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(self.seed)
            names = [str(label) for label in classes.tolist()]
            model = BertForClassification.from_pretrained(
                folder, labels=names, new_head=True, problem_type="single_label_classification"
            )
            if self.weights == "random":
                model = BertForClassification(model.config)
        if (self.trained_layers or 0) > (layers := model.config.num_hidden_layers):
            raise ValueError(
                f"trained_layers is {self.trained_layers}; the model has {layers}, and None trains "
                "everything"
            )
        tokenizer = WordPieceTokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, model.config)
        extra = {
            **model.config.extra,
            _LABEL_TYPE: type(classes.tolist()[0]).__name__,
            _MAX_LENGTH: min(self.max_length, model.config.max_position_embeddings),
            _TRUNCATION: self.truncation,
        }
        model.config = replace(model.config, extra=extra)
        return model.to(device), tokenizer

    # --- checks --------------------------------------------------------------------------------

    def _check_settings(self, has_validation: bool) -> None:
        least = {"epochs": 1, "batch_size": 1, "max_length": 1, "accumulate": 1}
        if self.patience is not None:
            least["patience"] = 1
        if self.trained_layers is not None:
            least["trained_layers"] = 0
        for name, lowest in least.items():
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or value < lowest:
                raise ValueError(
                    f"{name} is {value!r}; it must be a whole number of at least {lowest}"
                )
        for name, allowed in (
            ("weights", ("pretrained", "random")),
            ("truncation", TRUNCATIONS),
            ("keep_best", (True, False)),
            ("checkpoint", (True, False)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {allowed}")
        if not isinstance(self.layer_decay, numbers.Real) or not 0 < self.layer_decay <= 1:
            raise ValueError(
                f"layer_decay is {self.layer_decay!r}; it must be above 0 and at most 1"
            )
        if (self.patience is not None or self.keep_best) and not has_validation:
            raise ValueError("patience and keep_best need validation texts; give fit some")
        if not isinstance(self.seed, numbers.Integral) or not 0 <= self.seed < 2**32:
            raise ValueError(
                f"seed is {self.seed!r}; it must be a whole number from 0 to 2**32 - 1"
            )
        if not isinstance(self.lr, numbers.Real) or not 0 < self.lr < math.inf:
            raise ValueError(f"lr is {self.lr!r}; it must be above 0, usually 1e-5 to 1e-4")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(
                f"precision is {self.precision!r}; for training it must be 'fp32' or 'bf16'"
            )
        if self.lr > _HIGH_LR and self.trained_layers != 0 and self.weights != "random":
            warnings.warn(
                f"lr={self.lr:g} is high for fine-tuning a whole BERT: above {_HIGH_LR:g} training "
                "tends to collapse into predicting one class",
                stacklevel=3,
            )

    def _warn_of_one_class(self, examples: Examples) -> None:
        rows = examples.rows[:: max(1, len(examples) // 256)]
        found = _logits(self.model_, self.tokenizer_, rows).argmax(dim=1).unique()
        if len(found) == 1:
            warnings.warn(
                f"the trained model calls every text {self.classes_.tolist()[int(found)]!r}, so "
                "it has learned nothing; try a lower lr, more epochs, another seed or more data",
                stacklevel=3,
            )

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise ValueError("this TextClassifier is not trained; call fit, or TextClassifier.load")


def _plain(label: Any) -> Hashable:
    """A label as a plain Python value, numpy's scalars included."""
    return label.item() if isinstance(label, np.generic) else label


def _classes(texts: list[Text], labels: list[Hashable]) -> np.ndarray:
    """The distinct labels in sorted order, or a `ValueError` for data no classifier can learn."""
    if len(texts) != len(labels):
        raise ValueError(f"there are {len(texts)} texts and {len(labels)} labels")
    if not texts:
        raise ValueError("there are no texts to train on")
    kinds = {type(_plain(label)) for label in labels}
    if len(kinds) > 1 or not kinds <= {str, int, bool}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"labels are of type {names}; they must be all str, all int or all bool")
    classes = np.unique(np.array([_plain(label) for label in labels]))
    if len(classes) < 2:
        raise ValueError(
            f"every label is {classes.tolist()[0]!r}; a classifier needs at least two classes"
        )
    return classes


def _held_out(
    tokenizer: WordPieceTokenizer,
    ids: dict[Any, int],
    validation: tuple[Sequence[Text], Sequence[Hashable]],
    max_length: int,
    truncation: Truncation,
) -> Examples:
    texts = list(validation[0])
    wanted = _ids_of(validation[1], ids, len(texts), "validation labels")
    rows = encode_texts(tokenizer, texts, max_length, "validation texts", truncation)
    return Examples(rows, wanted)


def _class_weights(
    wanted: Literal["balanced"] | Mapping[Any, float] | None,
    ids: dict[Any, int],
    labels: Sequence[int],
) -> torch.Tensor | None:
    """(L,) the weight of each class in the loss. "balanced" is scikit-learn's: examples / (L times
    the examples of the class), so that all classes weigh the same together."""
    if wanted is None:
        return None
    if not isinstance(wanted, Mapping):
        if wanted != "balanced":
            raise ValueError(f"class_weight is {wanted!r}; give 'balanced' or {{label: weight}}")
        counts = torch.tensor(labels).bincount(minlength=len(ids))
        return len(labels) / (len(ids) * counts.float())
    if {_plain(label) for label in wanted} != set(ids):
        raise ValueError(
            f"class_weight has the labels {', '.join(map(repr, wanted))}, and the training data "
            f"{', '.join(map(repr, ids))}; give a weight for each"
        )
    weights = torch.zeros(len(ids))
    for label, weight in wanted.items():
        if not isinstance(weight, numbers.Real) or not 0 < weight < math.inf:
            raise ValueError(f"class_weight of {label!r} is {weight!r}; it must be above 0")
        weights[ids[_plain(label)]] = float(weight)
    return weights


def _ids_of(labels: Sequence[Hashable], ids: dict[Any, int], number: int, name: str) -> list[int]:
    """The class ids of labels that are to be compared with predictions for so many texts."""
    if len(labels) != number or not number:
        raise ValueError(
            f"there are {number} texts and {len(labels)} {name}; give as many, not none"
        )
    for position, label in enumerate(labels):
        if _plain(label) not in ids:
            raise ValueError(
                f"{name}: number {position} is {_plain(label)!r}, which is not in the training "
                f"data; its labels are {', '.join(map(repr, ids))}"
            )
    return [ids[_plain(label)] for label in labels]


def _read_classes(config: BertConfig) -> np.ndarray:
    """The labels as they were given to fit, if this config was written by save."""
    convert = _LABEL_TYPES.get(str(config.extra.get(_LABEL_TYPE)), str)
    try:
        classes = [convert(name) for name in config.labels]
    except ValueError:
        classes = []
    if [str(label) for label in classes] != list(config.labels):  # renamed since by somebody
        classes = list(config.labels)
    return np.array(classes)


def _logits(
    model: BertForClassification, tokenizer: WordPieceTokenizer, rows: Sequence[Row]
) -> torch.Tensor:
    """(rows, L) on the CPU, in the order of the rows."""
    labels = model.config.num_labels
    return compute_rows(model, tokenizer, rows, labels, lambda batch: model(**batch).logits)


def _train(
    model: BertForClassification,
    tokenizer: WordPieceTokenizer,
    task: Classification,
    held_out: Examples | None,
    recipe: Recipe,
    trained_layers: int | None,
    **run: Any,
) -> History:
    """Train what `trained_layers` names of the model, and evaluate it as it goes."""
    trained: torch.nn.Module = model
    logits: Callable[[], torch.Tensor] | None = None
    if trained_layers == 0:
        trained = head = Head(model)
        vectors = first_vectors(model, tokenizer, task.examples.rows)
        task = ClassificationOfVectors(task, vectors)
        if held_out is not None:
            seen = first_vectors(model, tokenizer, held_out.rows).to(model.device)

            def logits() -> torch.Tensor:
                with torch.inference_mode():
                    return head(seen).float().cpu()

    elif held_out is not None:
        rows = held_out.rows

        def logits() -> torch.Tensor:
            return _logits(model, tokenizer, rows)

    if trained_layers:
        train_only_last(model, trained_layers)

    def evaluate(step: int) -> Evaluation:
        assert logits is not None and held_out is not None
        scores, labels = logits(), torch.tensor(held_out.labels)
        accuracy = (scores.argmax(dim=1) == labels).float().mean().item()
        return Evaluation(step, F.cross_entropy(scores, labels).item(), accuracy)

    try:
        return train(trained, task, recipe, evaluate if held_out else None, **run)
    finally:
        model.requires_grad_(True).eval()
