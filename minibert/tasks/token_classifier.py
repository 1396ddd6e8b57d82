"""TokenClassifier: the entities of a text, or a tag for each word.

Paper: Devlin et al. 2019, section 5.3; reference: the token-classification pipeline of
transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from minibert.checkpoint.arguments import check_choice
from minibert.checkpoint.schema import get, one_of, whole
from minibert.config import BertConfig
from minibert.engine.rows import Batch
from minibert.engine.rule import Precision
from minibert.engine.streams import AnswerStream, Encoded
from minibert.heads import BertForTokenClassification
from minibert.tasks.entities import AGGREGATIONS, Aggregation, Entity, entities, word_tags
from minibert.tasks.finetuned import STRIDE_KEY, FineTuned
from minibert.tasks.labels import Labels
from minibert.tasks.problems import warn_nothing_learned
from minibert.tasks.settings import told
from minibert.tasks.starting import sort_outputs, starting_head
from minibert.tasks.tagged_words import (
    Words,
    check_known,
    contents,
    in_rows,
    purpose,
    sentences_and_tags,
)
from minibert.tasks.training_data import validation_parts
from minibert.tasks.word_pieces import TextOrWords, WordPieces, checked_words, cut, item_parts
from minibert.text.windows import STRIDE, check_stride
from minibert.training.finetune import finetune
from minibert.training.loop import run_arguments
from minibert.training.results import Report
from minibert.training.tag_schemes import Scheme
from minibert.training.tags import (
    TagEvaluation,
    TaggedSentences,
    Tagging,
    check_tag_metric,
    of_rows,
    report_of,
)

ResultT = TypeVar("ResultT")
# Key of config.json by which a saved model remembers what makes an entity. Other readers keep it
# and pay no attention.
_AGGREGATION = "minibert_aggregation"
_IS_AGGREGATION = one_of(*AGGREGATIONS)


@dataclass(eq=False, kw_only=True)
class TokenClassifier(FineTuned):
    """A tagger of words: BERT or one of its variants with `BertForTokenClassification`.

    It learns from sentences, lists of words, and their tags: names of entities in one of the
    schemes IOB2, IOB1 or BIOES ("B-PER", "I-PER", "O"), or a label for each word, such as its part
    of speech. `model` is what to start from; the settings that all tasks share are explained at
    `TextClassifier`. Sentences too long for a row are read in windows that share `stride` tokens,
    and each token counts in the one where it stands farthest from a cut: nothing is left out.

    aggregation says what an entity is made of, in the words of transformers' pipeline. By default
    the tag of a word is that of its "first" piece, the only one that training looks at; "average"
    takes the best mean of the pieces' scores, "max" the best score of a piece. "simple" knows no
    words and may tag a word's pieces differently, and "none" gives the tags of the pieces alone.
    The results are the pipeline's, except that
    - words are those of `minibert.text.words`, as data sets have them, and not BERT's, which end at
      every mark: U.S., AT&T and Franco-German are one word each;
    - of given words, start and end are numbers of words, so that item[start:end] is the entity in
      any case;
    - E- and S- of BIOES end an entity;
    - an accent that is a character of its own stays with its letter, though the model may not see
      it;
    - where windows overlap no entity is found twice or chosen by its length.

    After `fit` or `load`: `classes_`, the tags; `model_`, `tokenizer_`; `history_` after `fit`.

    >>> from minibert import TokenClassifier
    >>> TokenClassifier("minilm-l6", aggregation="max").aggregation
    'max'
    """

    aggregation: Aggregation = field(
        default="first", metadata=told("how tokens make an entity, as in transformers' pipeline")
    )
    stride: int = field(default=STRIDE, metadata=told("tokens that two windows share"))

    model_class = BertForTokenClassification
    trained_ones = "a tagger of words, such as dslim/bert-base-NER"
    _EXAMPLES = "sentences"

    @torch.inference_mode(False)
    def fit(
        self,
        words: Iterable[Words],
        tags: Iterable[Words],
        validation: tuple[Iterable[Words], Iterable[Words]] | None = None,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        save_every: int = 500,
    ) -> TokenClassifier:
        """Fine-tune the model on sentences, lists of words, with a tag for each word.

        The rest is as for `TextClassifier.fit`. Of entities f1 is what counts, where metric is
        None: that of seqeval; of other tags accuracy. Raises `ValueError` naming the sentence and
        the word whose tag is of no scheme, or, in validation, not in the training data.
        """
        words, tags = sentences_and_tags(words, tags)
        held = None
        if validation is not None:
            held = sentences_and_tags(*validation_parts(validation, "(words, tags)"), "validation ")
        recipe = self._recipe(len(words), held is not None)
        run_arguments(folder, resume, save_every)
        scheme = Scheme.of_sentences(tags, "tags")
        labels = Labels.of(tag for sentence in tags for tag in sentence)
        if held is not None:
            check_known(held[1], labels, "validation tags")
            scheme.check(held[1], "validation tags")
        if self.metric is not None:
            check_tag_metric(self.metric, scheme, labels.names)
        start = self._start()
        model, kept = starting_head(
            BertForTokenClassification,
            start.folder,
            labels,
            lambda config, found: found.same_as(labels),
            self.weights,
            int(self.seed),
        )
        if kept:
            sort_outputs(model, labels.names)
        model = model.to(start.device)
        model.config = self._described(model.config, self._remembered())

        def tagged(words: list[list[str]], tags: list[list[str]]) -> TaggedSentences:
            return in_rows(start.tokenizer, words, tags, labels, start.max_length, self.stride)

        training = tagged(words, tags)
        task = Tagging(training.examples, start.tokenizer, int(self.batch_size), recipe.seed)
        held_out = evaluate = None
        if held is not None:
            held_out = tagged(*held)
            evaluate = TagEvaluation(model, start.tokenizer, held_out, scheme, labels.names)
            task.settings["validation"] = held_out.examples.fingerprint  # it decides when to stop
        self._tell_steps(recipe.epochs, len(words), task.steps_per_epoch)
        history = finetune(
            model,
            task,
            recipe,
            evaluate,
            trained_layers=self.trained_layers,
            folder=folder,
            resume=resume,
            save_every=save_every,
        )
        logits = report = None
        if held_out is not None:
            logits = held_out.logits(model, start.tokenizer)
            report = report_of(held_out, logits, scheme, labels.names)
        self.classes_ = labels.classes  # with the model it belongs to, and not before
        self._end(
            start,
            model,
            recipe,
            history,
            classes={},
            texts=len(words),
            contents=contents(tags, scheme),
            held_out=0 if held_out is None else len(held_out),
            report=report,
            title="Token classifier",
            purpose=purpose(labels.names),
            pipeline_tag="token-classification",
        )
        # Held-out words of one tag would look the same if the model were perfect.
        if logits is None or held_out is None or not held_out.differ:
            logits = training.some(256).logits(model, start.tokenizer)
        scores = torch.cat(logits).numpy()  # (words, L)
        self._check_finite(scores)
        if len(found := set(scores.argmax(axis=1).tolist())) == 1:
            warn_nothing_learned(f"tags every word {labels.names[found.pop()]!r}")
        return self

    def predict(self, texts: Iterable[TextOrWords]) -> list[list[Entity]]:
        """The entities of each text, in order; `aggregation` says what makes one.

        texts: strings, or lists of words, in a list or in anything that can be iterated, read as it
        is needed: a generator, an open file. Raises `ValueError` for an item that is neither; the
        entities of the texts before it are the error's attribute `finished`. An error of the
        iterable itself has it, too, and so has Ctrl-C, for the work that was complete.
        """
        return self._stream(self._entities, item_parts).collect(texts)

    def predict_tags(self, words: Iterable[list[str]]) -> list[list[str]]:
        """The tag of each word of sentences, lists of words; where `aggregation` knows no words,
        the one of its first piece. Errors as for `predict`."""
        return self._stream(self._tags, _words_only).collect(words)

    def stream(
        self, texts: Iterable[TextOrWords], window: int | None = None
    ) -> Iterator[tuple[TextOrWords, list[Entity]]]:
        """Each text with its entities, as soon as they are known, for endless streams; window and
        errors: as for `TextClassifier.stream`."""
        return self._stream(self._entities, item_parts).stream(texts, window)

    def score(self, words: Iterable[Words], tags: Iterable[Words]) -> float:
        """F1 of the entities in sentences, 0 to 1, as seqeval counts it; of tags that mark none the
        accuracy."""
        metrics = self.evaluate(words, tags).metrics
        return next(iter(metrics.values()))

    def evaluate(self, words: Iterable[Words], tags: Iterable[Words]) -> Report:
        """How good the tags of sentences are, type by type: see
        `minibert.training.results.Report`. A word's tag is that of its first piece, as in training.
        """
        self._check_fitted()
        words, tags = sentences_and_tags(words, tags)
        labels = Labels(self.classes_)
        check_known(tags, labels, "tags")
        sentences = in_rows(self.tokenizer_, words, tags, labels, self._row_length(), self.stride)
        logits = sentences.logits(self._engine.optimized(self.model_), self.tokenizer_)
        return report_of(sentences, logits, Scheme.of_labels(labels.names), labels.names)

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
        device: str | None = None,
        aggregation: Aggregation | None = None,
        stride: int | None = None,
    ) -> TokenClassifier:
        """Open any folder or hub model with a BertForTokenClassification, or a variant's.

        max_length, precision, device: as for `TextClassifier.load`. aggregation, stride: None for
        those that it was saved with or, if it does not say, as in the constructor. Raises
        `ValueError` for a checkpoint without that head.
        """
        return cls._loaded(
            dir_or_name, max_length, precision, device, aggregation=aggregation, stride=stride
        )

    def _recall(self, config: BertConfig) -> None:
        super()._recall(config)
        self.classes_ = Labels.read(config).classes
        self.aggregation = get(config.extra, _AGGREGATION, _IS_AGGREGATION, self.aggregation)
        self.stride = get(config.extra, STRIDE_KEY, whole(), self.stride)

    def _remembered(self) -> Mapping[str, Any]:
        return {_AGGREGATION: self.aggregation, STRIDE_KEY: int(self.stride)}

    def _check_reading(self, max_length: int) -> None:
        check_choice("aggregation", self.aggregation, AGGREGATIONS)
        check_stride(self.stride, max_length - 2)

    def _stream(
        self,
        answer: Callable[[Any, WordPieces, np.ndarray], ResultT],
        parts: Callable[[Any, int], Any],
    ) -> AnswerStream[Any, WordPieces, ResultT]:
        """The fitted model as it stands, for texts to go through. answer: from a text, its pieces
        and the (n, L) probabilities of these."""
        self._check_fitted()
        max_length, stride = self._row_length(), self.stride
        model, tokenizer = self._engine.optimized(self.model_), self.tokenizer_

        def compute(batch: Batch) -> list[Tensor]:
            return [row[1:-1].float().softmax(dim=-1) for row in of_rows(model, batch)]

        def encode(texts: list[Any]) -> list[Encoded[WordPieces]]:
            pieces = [cut(tokenizer, text, max_length, stride) for text in texts]
            return [Encoded(each.rows(tokenizer), each) for each in pieces]

        return AnswerStream(
            model,
            tokenizer,
            compute=compute,
            max_length=max_length,
            encode=encode,
            answer=lambda text, pieces, rows: answer(text, pieces, pieces.of_pieces(rows)),
            parts=parts,
        )

    def _entities(self, text: TextOrWords, pieces: WordPieces, scores: np.ndarray) -> list[Entity]:
        return entities(text, pieces, scores, self.classes_.tolist(), self.aggregation)

    def _tags(self, words: list[str], pieces: WordPieces, scores: np.ndarray) -> list[str]:
        return word_tags(pieces, scores, self.classes_.tolist(), self.aggregation)

    def __sklearn_tags__(self) -> Any:
        """A sentence has many tags, and so no class by which folds could be stratified."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = tags.classifier_tags = None
        return tags


def _words_only(item: Any, position: int) -> list[str]:
    return checked_words(item, f"sentence {position}")
