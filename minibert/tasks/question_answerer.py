"""QuestionAnswerer: the part of a text that answers a question; fine-tune, predict, save.

Paper: Devlin et al. 2019, sections 4.2 and 4.3; reference: run_squad.py of google-research/bert,
and the question-answering pipeline of transformers 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from minibert._checks import shown, warn
from minibert.checkpoint.arguments import switch, whole_number
from minibert.checkpoint.schema import get, whole
from minibert.config import BertConfig
from minibert.data.squad import Question, listed_questions, squad_metrics
from minibert.engine.rule import Precision
from minibert.engine.streams import AnswerStream, Encoded
from minibert.heads import BertForQuestionAnswering
from minibert.tasks.finetuned import MAX_LENGTH, STRIDE_KEY, FineTuned
from minibert.tasks.passages import STRIDE, Passage, check_pair, read_passages
from minibert.tasks.settings import told
from minibert.tasks.span_training import (
    SpanEvaluation,
    may_be_unanswered,
    open_span_model,
    passages_of,
    span_examples,
    span_scores,
    starting_span_model,
)
from minibert.tasks.spans import Answer, best_answers
from minibert.text.windows import check_stride
from minibert.training.finetune import finetune
from minibert.training.loop import run_arguments
from minibert.training.results import Report
from minibert.training.spans import SpanPrediction

Pair = tuple[str, str]  # a question and its context

METRICS = ("f1", "exact_match")  # of SQuAD's script, the task's own first
# Key of config.json by which a saved model remembers the longest answer. Other readers keep it and
# pay no attention.
_LONGEST = "minibert_max_answer_tokens"


@dataclass(eq=False, kw_only=True)
class QuestionAnswerer(FineTuned):
    """A model that finds the part of a context that answers a question: BERT or a variant of it.

    `model` is what to start from: a folder, an alias or a hub name; the other settings are the
    keywords of its signature, and those that `TextClassifier` has, too, mean the same. From a model
    that answers questions already training goes on with its head.

    max_length=None takes 384 tokens, or what the model takes if that is less. A longer context is
    read in windows beside the whole question. Two windows share `stride` tokens: None takes 128, or
    half of max_length if that is less; beside a question so long that they could not, half of the
    room there is. max_answer_tokens is the longest answer, to be filled up to whole words.

    After `fit` or `load`: `model_`, `tokenizer_`; `history_` (losses and evaluations) after `fit`
    only.

    >>> answerer = QuestionAnswerer("minilm-l6", epochs=2, lr=3e-5)
    >>> answerer
    QuestionAnswerer(model='minilm-l6', epochs=2, ...lr=3e-05, ...)
    """

    stride: int | None = field(
        default=None, metadata=told("tokens that two windows share; by default 128 or fewer")
    )
    max_answer_tokens: int = field(default=15, metadata=told("the longest answer"))

    model_class = BertForQuestionAnswering
    trained_ones = (
        "a model that answers questions, such as deepset/bert-base-cased-squad2, "
        "distilbert/distilbert-base-cased-distilled-squad or deepset/roberta-base-squad2"
    )
    _USUAL_LENGTH = 384
    _EXAMPLES = "questions"

    @torch.inference_mode(False)
    def fit(
        self,
        examples: Iterable[Question | Mapping[str, Any]],
        validation: Iterable[Question | Mapping[str, Any]] | None = None,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        save_every: int = 500,
    ) -> QuestionAnswerer:
        """Fine-tune the model on questions in SQuAD's format.

        examples: the list that `minibert.data.read_squad` returns, or rows as the library
        `datasets` has them. Of several answers the first is learned. Where a window does not hold
        it, and where a question has none, [CLS] is. validation: questions to evaluate on, before
        training and after each epoch, by SQuAD's f1 and exact_match, for which all their answers
        count; they influence the result only through `patience` and `keep_best`. folder, resume,
        save_every: for a run that survives a crash, see `minibert.training.loop.train`.

        Raises `ValueError` for data or settings that cannot be used, before anything is trained,
        and `FloatingPointError` when training fails because a loss or the weights are no longer
        numbers.
        """
        questions = listed_questions(examples)
        held = None if validation is None else listed_questions(validation, "validation")
        recipe = self._recipe(len(questions), held is not None)
        run_arguments(folder, resume, save_every)
        if self.metric not in (None, *METRICS, "loss"):
            raise ValueError(
                f"metric is {shown(self.metric)}; that of answers is {', '.join(METRICS)} or loss"
            )
        start = self._start()
        limits = start.tokenizer, start.max_length, self._shared(start.max_length)
        rows, lost = span_examples(passages_of(questions, *limits), questions)
        if lost:
            warn(
                f"{lost} of {len(questions)} answers are in no window as a whole, so that nothing "
                "is learned of them but 'no answer'; raise max_length, or stride, the most tokens "
                "of an answer that is never cut"
            )
        read = [] if held is None else list(passages_of(held, *limits))
        model = starting_span_model(start.folder, self.weights, int(self.seed)).to(start.device)
        model.config = self._described(model.config, self._remembered())
        task = SpanPrediction(rows, start.tokenizer, int(self.batch_size), recipe.seed)
        evaluate = None
        if held is not None:
            evaluate = SpanEvaluation(model, start.tokenizer, held, read, self._longest())
            task.settings["validation"] = evaluate.fingerprint  # it decides when to stop
        self._tell_steps(recipe.epochs, len(questions), task.steps_per_epoch)
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
        unanswered = sum(not question.answers for question in questions)
        self._end(
            start,
            model,
            recipe,
            history,
            classes={},
            texts=len(questions),
            contents=f"questions with a context each, {unanswered} of them without an answer",
            held_out=len(held or ()),
            title="Question answerer",
            purpose="to find the part of a text that answers a question",
            pipeline_tag="question-answering",
        )
        return self

    @overload
    def predict(
        self, pairs: Iterable[Pair], top_k: Literal[1] = 1, no_answer: bool = False
    ) -> list[Answer]: ...
    @overload
    def predict(
        self, pairs: Iterable[Pair], top_k: int, no_answer: bool = False
    ) -> list[Answer] | list[list[Answer]]: ...
    def predict(
        self, pairs: Iterable[Pair], top_k: int = 1, no_answer: bool = False
    ) -> list[Answer] | list[list[Answer]]:
        """The best answer to each (question, context); or, with top_k above 1, a list for each, of
        up to so many answers, the best first.

        pairs: a list of tuples, or anything that can be iterated, read as it is needed. no_answer:
        whether "no answer" may be one, an `Answer` with the text "". It is the only one to a
        context without a token, such as a control character.

        Raises `ValueError` for what is no such tuple, an empty question or context and a question
        that leaves no room for a context; the answers to the pairs before it are the error's
        attribute `finished`. An error of the iterable itself has it, too, and so has Ctrl-C, for
        the work that was complete.
        """
        return self._stream(top_k, no_answer).collect(_not_a_table(pairs))

    def stream(
        self,
        pairs: Iterable[Pair],
        top_k: int = 1,
        no_answer: bool = False,
        window: int | None = None,
    ) -> Iterator[tuple[Pair, Any]]:
        """Each pair with what `predict` has for it, as soon as it is known: for endless streams.
        window: as for `TextClassifier.stream`."""
        return self._stream(top_k, no_answer).stream(_not_a_table(pairs), window)

    def score(self, examples: Iterable[Question | Mapping[str, Any]]) -> float:
        """SQuAD's f1, 0 to 1, of questions as for `fit`."""
        return self.evaluate(examples).metrics["f1"]

    def evaluate(self, examples: Iterable[Question | Mapping[str, Any]]) -> Report:
        """How good the answers to questions as for `fit` are: see
        `minibert.training.results.Report`; its metrics are SQuAD's "f1" and "exact_match", 0 to 1.
        "No answer" can be one if it is right for one of them."""
        self._check_fitted()
        questions = listed_questions(examples)
        pairs = [(each.question, each.context) for each in questions]
        answers = self.predict(pairs, 1, may_be_unanswered(questions))
        metrics = squad_metrics([answer.text for answer in answers], questions)
        return Report(None, len(questions), (), metrics)

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        *,
        max_length: int | None = None,
        stride: int | None = None,
        max_answer_tokens: int | None = None,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> QuestionAnswerer:
        """Open any folder or hub model with a BertForQuestionAnswering, or a variant's.

        max_length, stride, max_answer_tokens: None for those that it was saved with or, if it does
        not say, as in the constructor. precision: what predictions are computed in, see
        `minibert.optimize`; `model_` and what `save` writes are in fp32 whatever it is.
        """
        return cls._loaded(
            dir_or_name,
            max_length,
            precision,
            device,
            stride=stride,
            max_answer_tokens=max_answer_tokens,
        )

    @classmethod
    def _opened(cls, folder: Path) -> BertForQuestionAnswering:
        return open_span_model(folder)

    def _recall(self, config: BertConfig) -> None:
        usual = self._limit(config.max_length)
        super()._recall(config)
        if MAX_LENGTH not in config.extra:
            self.max_length = usual
        self.stride = get(config.extra, STRIDE_KEY, whole(), None)
        self.max_answer_tokens = get(config.extra, _LONGEST, whole(1), self.max_answer_tokens)

    def _stream(self, top_k: int, no_answer: bool) -> AnswerStream[Pair, Passage, Any]:
        """The fitted model as it stands, for pairs to go through."""
        self._check_fitted()
        top_k, no_answer = whole_number("top_k", top_k, 1), switch("no_answer", no_answer)
        model, tokenizer = self._engine.optimized(self.model_), self.tokenizer_
        max_length = self._row_length()
        stride, longest = self._shared(max_length), self._longest()

        def parts(item: Any, position: int) -> Sequence[str]:
            return check_pair(item, f"pair {position}", tokenizer, max_length)

        def encode(pairs: list[Pair]) -> list[Encoded[Passage]]:
            passages = read_passages(tokenizer, pairs, max_length, stride)
            return [Encoded(passage.rows, passage) for passage in passages]

        def answer(pair: Pair, passage: Passage, scores: list[np.ndarray]) -> Any:
            best = best_answers(pair[1], passage, scores, top_k, no_answer, longest)
            return best[0] if top_k == 1 else best

        return AnswerStream(
            model,
            tokenizer,
            compute=lambda batch: span_scores(model, batch),
            max_length=max_length,
            encode=encode,
            answer=answer,
            parts=parts,
        )

    def _check_reading(self, max_length: int) -> None:
        self._shared(max_length)
        self._longest()

    def _shared(self, max_length: int) -> int:
        """How many tokens two windows share. Raises `ValueError` for a stride that no question
        would leave room for."""
        if self.stride is None:
            return min(STRIDE, max_length // 2)
        return check_stride(self.stride, max(1, max_length - 4))  # of [CLS] q [SEP] context [SEP]

    def _longest(self) -> int:
        return whole_number("max_answer_tokens", self.max_answer_tokens, 1)

    def _remembered(self) -> Mapping[str, Any]:
        remembered = {_LONGEST: self._longest()}
        if self.stride is not None:
            remembered[STRIDE_KEY] = int(self.stride)
        return remembered


def _not_a_table(pairs: Any) -> Any:
    """The pairs themselves. Raises `ValueError` for a table, of which one column would be no pairs
    either."""
    if any(hasattr(pairs, name) for name in ("keys", "columns", "column_names")):
        raise ValueError(
            f"pairs is a {type(pairs).__name__}; give (question, context) tuples: "
            "zip(table['question'], table['context'])"
        )
    return pairs
