"""TextClassifier: fine-tune on texts and labels, predict, save; three lines for the whole book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minibert._checks import shown, warn
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.files import CONFIG, read_config
from minibert.checkpoint.folders import new_model_folder
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.schema import Rule, get, in_file, whole
from minibert.config import BertConfig
from minibert.engine.optimize import Engine
from minibert.engine.rule import Precision, check_precision
from minibert.engine.streams import Stream, check_vocabulary, encode_texts, find_device
from minibert.heads import BertForClassification
from minibert.tasks.label_values import Label, checked_labels
from minibert.tasks.labels import KIND, Labels, check_as_many
from minibert.tasks.settings import SHORTEST, Settings
from minibert.tasks.starting import starting_model
from minibert.text.inputs import Text, check_text, listed
from minibert.text.truncation import TRUNCATIONS
from minibert.text.writing import write_tokenizer
from minibert.tokenizer import Tokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.finetune import finetune, logits_of
from minibert.training.history import History
from minibert.training.loop import run_arguments
from minibert.training.model_card import Fit, hub_name, licence_of, model_card
from minibert.training.optimizer import check_own_layers
from minibert.training.ranks import Ranks

# Keys of config.json by which a saved classifier remembers to how many tokens its texts were cut,
# and where. Other readers keep them and pay no attention.
_MAX_LENGTH, _TRUNCATION = "minibert_max_length", "minibert_truncation"
_IS_TRUNCATION = Rule(
    lambda value: isinstance(value, str) and value in TRUNCATIONS, f"one of {TRUNCATIONS}"
)


class TextClassifier(Settings):
    """A classifier for texts, or (text, pair) tuples: BERT or one of its variants.

    It follows scikit-learn's conventions without needing scikit-learn. `model` is what to start
    from: a folder, an alias or a hub name; the other settings are the keywords of its signature. A
    pair is a tuple, not a string with separators between ("a </s></s> b"): such a string is taken
    for one text, and a name of a special token in it for that token.

    From a classifier of the same labels, training goes on with its head; any other head is replaced
    by a new one, with a warning where it was a trained one. Each `fit` starts from `model` anew.

    epochs=None takes 3 epochs or, of few texts, as many as make 100 steps, and says so: small data
    needs as many steps as large data. An explicit number is taken as it is.

    trained_layers=None trains everything; k the head, which includes the pooler, and the last k
    layers; 0 the head alone, in seconds, on vectors computed once (it wants a higher lr, say 1e-3,
    and more epochs). layer_decay is the factor by which each layer down learns slower.
    ALBERT's layers share their weights, so it takes neither k nor a layer_decay below 1.
    weights="random" takes the model's shape without what it knows, to compare with.

    class_weight says how much texts of each class count, {label: weight}; "balanced" counts a class
    as much as it is rare. truncation says what to keep of texts longer than max_length tokens,
    special ones included: the "head", or "head+tail", a quarter of the room for the beginning and
    the rest for the end. precision="bf16" trains in bfloat16 with fp32 weights; `load` has one for
    predictions. device=None takes CUDA where there is one. patience and keep_best, which need
    validation data, and accumulate and checkpoint, for less memory, are those of
    `minibert.training.recipe.Recipe`.

    After `fit` or `load`: `classes_`, the labels in the order of probabilities; `model_`,
    `tokenizer_`; `history_` (losses and evaluations) after `fit` only.

    >>> classifier = TextClassifier("minilm-l6", epochs=5, seed=1)
    >>> classifier
    TextClassifier(model='minilm-l6', epochs=5, ...seed=1, ...)
    >>> classifier.set_params(epochs=1).epochs
    1
    """

    @torch.inference_mode(False)
    def fit(
        self,
        texts: Iterable[Text],
        labels: Iterable[Label],
        validation: tuple[Iterable[Text], Iterable[Label]] | None = None,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        save_every: int = 500,
    ) -> TextClassifier:
        """Fine-tune the model; labels may be strings, integers or booleans.

        validation: texts and labels to evaluate on before training and after each epoch; they
        influence the result only through `patience` and `keep_best`. folder, resume, save_every:
        for a run that survives a crash, see `minibert.training.loop.train`. Raises `ValueError` for
        data or settings that cannot be used, before anything is trained; warns if there are few
        steps, or if the trained model predicts one class only. Raises `FloatingPointError` when
        training fails because a loss or the weights are no longer numbers.
        """
        texts, labels = listed(texts), checked_labels(labels, "labels")
        held = None if validation is None else _texts_and_labels(validation)
        recipe = self._recipe(len(texts), held is not None)
        run_arguments(folder, resume, save_every)
        check_as_many(len(texts), labels, "labels")
        known = Labels.of(labels)
        ids = known.ids_of(labels, len(texts), "labels")
        weights = known.weights(self.class_weight, ids)
        held_ids = [] if held is None else known.ids_of(held[1], len(held[0]), "validation labels")
        start = find_folder(self.model)
        model, tokenizer = self._new_model(start, known)
        max_length = model.config.extra[_MAX_LENGTH]

        rows = encode_texts(tokenizer, texts, max_length, "training texts", self.truncation)
        examples = Examples([row for each in rows for row in each], ids)
        task = Classification(examples, tokenizer, int(self.batch_size), recipe.seed, weights)
        held_out = None
        if held is not None:
            rows = encode_texts(tokenizer, held[0], max_length, "validation texts", self.truncation)
            held_out = Examples([row for each in rows for row in each], held_ids)
            task.settings["validation"] = held_out.fingerprint  # it decides when to stop
        pretrained = self.weights == "pretrained"  # of random weights only the shape is another's
        # While it is there: others may move the folder during the training.
        licence = licence_of(start) if pretrained else None
        base_model = hub_name(self.model) if pretrained else None
        self._tell_steps(recipe.epochs, len(texts), task.steps_per_epoch)
        history = finetune(
            model,
            task,
            recipe,
            held_out=held_out,
            trained_layers=self.trained_layers,
            folder=folder,
            resume=resume,
            save_every=save_every,
        )
        self.model_, self.tokenizer_, self.classes_ = model, tokenizer, known.classes
        self._engine = Engine()
        self.history_: History = history
        settings = {**self.get_params(), **asdict(recipe), "max_length": max_length}
        del settings["evaluate_every"]  # an epoch, always
        self._fit = Fit(
            classes=Counter(map(str, labels)),
            held_out=0 if held_out is None else len(held_out),
            settings=settings,
            processes=Ranks().world_size,
            base_model=base_model,
            licence=licence,
        )
        # Held-out texts of one label would look the same if the model were perfect.
        self._check_answers(held_out if held_out and len(set(held_out.labels)) > 1 else examples)
        return self

    def predict_proba(self, texts: Iterable[Text]) -> np.ndarray:
        """The probability of each class: float32 (texts, L), columns as `classes_`.

        texts: a list, or anything that can be iterated, read as it is needed: a generator, an open
        file. Raises `ValueError` for an item that is not a text; the probabilities of the texts
        before it are the error's attribute `finished`. An error of the iterable itself has it, too,
        and so has Ctrl-C, for the work that was complete.
        """
        return self._probabilities(texts)

    def predict(self, texts: Iterable[Text]) -> np.ndarray:
        """The most probable label of each text, (texts,), of the kind given to `fit`.

        texts and errors as for `predict_proba`, where `finished` holds labels instead.
        """
        try:
            return self._labels.most_probable(self._probabilities(texts))
        except BaseException as error:
            if hasattr(error, "finished"):
                error.finished = self._labels.most_probable(error.finished)
            raise

    def stream(
        self, texts: Iterable[Text], window: int | None = None
    ) -> Iterator[tuple[Text, np.ndarray]]:
        """Each text with its probabilities, (L,), as soon as they are known: for endless streams.

        window: how many texts are read ahead and computed together at most; None takes 4096, which
        is fast, and 1 answers each text before the next is read. Errors, those of `predict_proba`,
        come after the results of all texts before them.
        """
        if window is not None:
            window = whole_number("window", window, 1)
        return self._stream().stream(texts, window)

    def score(self, texts: Iterable[Text], labels: Iterable[Label]) -> float:
        """Accuracy, 0 to 1, of texts as for `predict` and labels that training had."""
        texts = listed(texts)
        wanted = self._labels.ids_of(labels, len(texts), "labels")
        return float((self._probabilities(texts).argmax(axis=1) == wanted).mean())

    def save(self, folder: str | Path, overwrite: bool = False, data: str = "") -> None:
        """Write a model folder that transformers and `load` open; whole or not at all, never over
        the folder this program runs in.

        The tokenizer's files carry the length to which texts are cut; transformers' pipeline cuts
        them, too, if it is called with truncation=True. After `fit` there is a model card,
        README.md, with recipe and results; data: what the texts are, to be told there.
        """
        self._check_fitted()
        check_text(data, "data")
        self.model_.config = config = self._described(self.model_.config, self._labels)
        vocabulary = replace(self.tokenizer_.vocabulary, model_max_length=config.extra[_MAX_LENGTH])
        with new_model_folder(folder, overwrite) as unfinished:
            self.model_.write_files(unfinished)
            write_tokenizer(vocabulary, unfinished)
            if hasattr(self, "history_"):
                name = Path(folder).resolve().name
                card = model_card(name, self.model_.config, self._fit, self.history_, data)
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
        """Open any folder or hub model with a BertForSequenceClassification, or a variant's.

        max_length: None for the one it was trained with, or else the longest the model takes.
        precision: what predictions are computed in, see `minibert.optimize`; `model_` and what
        `save` writes are in fp32 whatever it is.
        """
        check_precision(precision)
        if max_length is not None:
            max_length = whole_number("max_length", max_length, SHORTEST)
        where = find_device(device)
        folder = find_folder(dir_or_name)
        model = BertForClassification.from_pretrained(folder)
        _check_is_classifier(model, dir_or_name)
        config = model.config
        longest = config.max_length
        _check_room(config, dir_or_name)
        with in_file(folder / CONFIG):
            labels = Labels.read(config)
            trained_length = get(config.extra, _MAX_LENGTH, whole(SHORTEST), longest)
            truncation = get(config.extra, _TRUNCATION, _IS_TRUNCATION, "head")
        self = cls(
            model=dir_or_name,
            max_length=trained_length if max_length is None else max_length,
            precision=precision,  # type: ignore[arg-type]
            device=device,
            truncation=truncation,
        )
        tokenizer = Tokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, config)
        self.classes_ = labels.classes
        self.model_, self.tokenizer_ = model.to(where), tokenizer
        self._engine = Engine(precision)
        return self

    def _probabilities(self, texts: Iterable[Text]) -> np.ndarray:
        return self._stream().collect(texts)

    def _stream(self) -> Stream:
        """The fitted model as it stands, for texts to go through."""
        self._check_fitted()
        max_length, truncation = self._limits()
        model = self._engine.optimized(self.model_)
        return Stream(
            model,
            self.tokenizer_,
            compute=lambda batch: model(**batch).logits.float().softmax(dim=-1),
            width=model.config.num_labels,
            max_length=min(max_length, model.config.max_length),
            truncation=truncation,
        )

    @property
    def _labels(self) -> Labels:
        self._check_fitted()
        return Labels(self.classes_)

    def _new_model(self, folder: Path, labels: Labels) -> tuple[BertForClassification, Tokenizer]:
        """The model to train, with a head for these labels, and its tokenizer."""
        device = find_device(self.device)
        config = read_config(folder, BertConfig.from_dict)
        _check_room(config, folder)
        if self.trained_layers or self.layer_decay != 1:
            check_own_layers(config)
        if (self.trained_layers or 0) > (layers := config.num_hidden_layers):
            raise ValueError(
                f"trained_layers is {self.trained_layers}; the model has {layers}, and None trains "
                "everything"
            )
        model = starting_model(folder, labels, self.weights, int(self.seed))
        tokenizer = Tokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, model.config)
        model.config = self._described(model.config, labels)
        return model.to(device), tokenizer

    def _described(self, config: BertConfig, labels: Labels) -> BertConfig:
        """The config with what a saved classifier remembers: its labels' kind, and how texts are
        cut."""
        max_length, truncation = self._limits()
        remembered = {
            KIND: labels.kind,
            _MAX_LENGTH: min(max_length, config.max_length),
            _TRUNCATION: truncation,
        }
        return replace(config, extra={**config.extra, **remembered})

    def _check_answers(self, examples: Examples) -> None:
        """Raise `FloatingPointError` for scores that are no numbers; warn if all name one class."""
        rows = examples.rows[:: max(1, len(examples) // 256)]
        scores = logits_of(self.model_, self.tokenizer_, rows)
        if not bool(scores.isfinite().all()):
            raise FloatingPointError(
                f"the trained model gives scores that are not finite; lower lr (now {self.lr}) and "
                "train again"
            )
        found = scores.argmax(dim=1).unique()
        if len(found) == 1:
            warn(
                f"the trained model calls every text {self.classes_.tolist()[int(found)]!r}, so "
                "it has learned nothing; try a lower lr, more epochs, another seed or more data"
            )

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise ValueError("this TextClassifier is not trained; call fit, or TextClassifier.load")


def _check_is_classifier(model: BertForClassification, name: str | Path) -> None:
    """Raise `ValueError` for a model that cannot tell which of several classes a text is of."""
    config = model.config
    if config.problem != "single_label_classification" or config.num_labels < 2:
        raise ValueError(
            f"{name} has {config.num_labels} label(s) and is made for {config.problem}; "
            "TextClassifier tells two or more classes apart, of which one is right; use "
            "BertForClassification for other problems"
        )
    if model.load_report and model.load_report.newly_initialised:
        raise ValueError(
            f"{name} is no trained classifier of texts: it has no weights for "
            f"{model.load_report.told(model.load_report.newly_initialised)}, or those of another "
            "task; train them with "
            f"TextClassifier(model={str(name)!r}).fit(texts, labels)"
        )
    if len(set(config.labels)) < config.num_labels:
        raise ValueError(f"{name} names some labels twice: {config.labels}")


def _check_room(config: BertConfig, name: str | Path) -> None:
    """Raise `ValueError` for a model without room for a token of a text."""
    if config.max_length < SHORTEST:
        raise ValueError(
            f"{name} has positions for {config.max_length} token(s); a classifier of "
            f"texts needs at least {SHORTEST}, one beside [CLS] and [SEP]; take another model"
        )


def _texts_and_labels(validation: Any) -> tuple[list[Text], list[Label]]:
    """The two parts of validation data, each a list. Raises `ValueError` for other than two."""
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(
            f"validation is {shown(validation)}; give a tuple of two lists, (texts, labels)"
        )
    texts, labels = validation
    return listed(texts), checked_labels(labels, "validation labels")
