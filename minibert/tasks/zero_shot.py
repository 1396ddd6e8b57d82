"""ZeroShotClassifier: classes that are named when they are asked for, without training for them.

A model that was trained on natural language inference tells whether a text entails a hypothesis,
contradicts it, or neither. "This example is about sport." is a hypothesis, too; the class whose
hypothesis the text entails most is the answer. Source: Yin et al. 2019, arXiv 1909.00161;
reference: the zero-shot-classification pipeline of transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from minibert._checks import shown
from minibert.checkpoint.arguments import switch
from minibert.engine.rows import Batch, framed, room_for
from minibert.engine.rule import Precision
from minibert.engine.streams import AnswerStream, Encoded
from minibert.heads import BertForClassification
from minibert.tasks.trained import Trained, single_text
from minibert.text.inputs import check_text, listed
from minibert.tokenizer import Row, Tokenizer

TEMPLATE = "This example is {}."


class Ranking(NamedTuple):
    """The labels of a text, the best first, and their scores, 0 to 1.

    The scores are Python's floats: dict(zip(*ranking)) can be written as JSON, and a list of these
    makes a table with a column for each label.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]


class ZeroShotClassifier(Trained[BertForClassification]):
    """A model of natural language inference that sorts texts into classes by their names.

    Its labels must tell entailment and contradiction by name. A model that `TextClassifier` was
    fitted on pairs with such labels is one.
    """

    model_class = BertForClassification
    trained_ones = (
        "a classifier of natural language inference, such as "
        "cross-encoder/nli-MiniLM2-L6-H768 or FacebookAI/roberta-large-mnli"
    )

    def __init__(
        self,
        model: BertForClassification,
        tokenizer: Tokenizer,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(model, tokenizer, max_length=max_length, precision=precision)
        self._entailment, self._contradiction = _inference_ids(model.config.labels)

    def predict(
        self,
        texts: Iterable[str],
        labels: Iterable[str],
        template: str = TEMPLATE,
        several: bool = False,
    ) -> list[Ranking]:
        """The labels of each text, the best first.

        texts: a list, or anything that can be iterated, read as it is needed. template: the
        hypothesis, {} where the label goes. several: False where one label is right: the scores of
        a text add up to 1. True where any number may be: each score is the probability that the
        text entails the label's hypothesis rather than contradicts it. So it is for a single label,
        too. Texts too long are cut, with one warning; hypotheses never.

        Raises `ValueError` for labels or a template that cannot be used, and for an item that is
        not a text, with the results of the texts before it as its attribute `finished`.
        """
        return self._stream(labels, template, several).collect(texts)

    def stream(
        self,
        texts: Iterable[str],
        labels: Iterable[str],
        template: str = TEMPLATE,
        several: bool = False,
        window: int | None = None,
    ) -> Iterator[tuple[str, Ranking]]:
        """Each text with its result as soon as it is known, for endless streams; window: as for
        `TextClassifier.stream`."""
        return self._stream(labels, template, several).stream(texts, window)

    def _stream(
        self, labels: Iterable[str], template: str, several: bool
    ) -> AnswerStream[str, None, Ranking]:
        names = _class_names(labels)
        hypotheses = self._hypotheses(names, template)
        against_contradiction = switch("several", several) or len(names) == 1
        model = self._engine.optimized(self.model)

        def encode(texts: list[str]) -> list[Encoded[None]]:
            premises = self.tokenizer.backend.ids(texts)
            return [
                Encoded([self._row(ids, each) for each in hypotheses], None) for ids in premises
            ]

        def compute(batch: Batch) -> list[torch.Tensor]:
            return list(model(**batch).logits)

        def answer(text: str, note: None, found: list[np.ndarray]) -> Ranking:
            logits = torch.from_numpy(np.stack(found))  # (labels, L)
            if against_contradiction:
                both = logits[:, [self._contradiction, self._entailment]]
                scores = both.softmax(dim=1)[:, 1]
            else:
                scores = logits[:, self._entailment].softmax(dim=0)
            order = scores.argsort(descending=True, stable=True)
            return Ranking(tuple(names[i] for i in order), tuple(scores[order].tolist()))

        return AnswerStream(
            model,
            self.tokenizer,
            compute=compute,
            max_length=self.max_length,
            encode=encode,
            answer=answer,
            parts=single_text,
        )

    def _hypotheses(self, names: list[str], template: str) -> list[list[int]]:
        """The ids of each label's hypothesis. Raises `ValueError` for one that is too long."""
        if "{}" not in check_text(template, "template"):
            raise ValueError(
                f"template is {shown(template)}; it must have {{}} where the label goes, as "
                f"{TEMPLATE!r} has"
            )
        hypotheses = self.tokenizer.backend.ids([template.replace("{}", name) for name in names])
        for name, ids in zip(names, hypotheses, strict=True):
            if self._room(ids) < 1:
                raise ValueError(
                    f"the hypothesis of the label {shown(name)} has {len(ids)} tokens, and a row "
                    f"{self.max_length}, so nothing of a text would fit beside it; shorten label "
                    "or template"
                )
        return hypotheses

    def _room(self, hypothesis: list[int]) -> int:
        """How many tokens of a text fit beside it."""
        return room_for(self.tokenizer, self.max_length, pair=True) - len(hypothesis)

    def _row(self, premise: list[int], hypothesis: list[int]) -> Row:
        """The pair; only the premise is ever cut."""
        room = self._room(hypothesis)
        dropped = max(0, len(premise) - room)
        return framed(self.tokenizer, premise[:room], hypothesis, dropped)


def _class_names(labels: Iterable[str]) -> list[str]:
    """The labels as a list. Raises `ValueError` for none, one that is empty, or one given twice."""
    names: list[str] = []
    for position, label in enumerate(listed(labels, "labels")):
        name = check_text(label, f"label {position}")  # type: ignore[arg-type]
        if not name.strip() or name in names:
            raise ValueError(
                f"label {position} is {shown(name)}, "
                f"{'which was there before' if name.strip() else 'which says nothing'}; give each "
                "class a name of its own"
            )
        names.append(name)
    if not names:
        raise ValueError("labels is empty; name at least one class")
    return names


def _inference_ids(labels: tuple[str, ...]) -> tuple[int, int]:
    """The ids of entailment and contradiction, by their names, or of two labels the other one."""
    found = [i for i, name in enumerate(labels) if name.lower().startswith("entail")]
    against = [i for i, name in enumerate(labels) if name.lower().startswith("contradict")]
    if len(found) == 1 and len(labels) == 2:
        against = [1 - found[0]]
    if len(found) != 1 or len(against) != 1:
        raise ValueError(
            f"the model has the labels {shown(labels)}; to sort by names it must be one of natural "
            "language inference, with a label 'entailment' and a label 'contradiction': rename "
            "them in id2label of its config.json if it is"
        )
    return found[0], against[0]
