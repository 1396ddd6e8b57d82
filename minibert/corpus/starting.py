"""What pre-training starts from: nothing but text, or the weights of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from minibert.checkpoint.hub import find_folder
from minibert.config import BertConfig
from minibert.corpus.task import MaskedLM, PreTraining
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import train_vocabulary
from minibert.engine.streams import check_vocabulary
from minibert.pretraining import BertForMaskedLM, BertForPreTraining
from minibert.tokenizer import Tokenizer, WordPieceTokenizer


class Start(Protocol):
    """Where a run begins.

    corpus: the name of the folder for it. settings: what else decides the run, compared when it is
    resumed. task: what is learned. next_sentence: whether rows are pairs.
    """

    @property
    def corpus(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def task(self) -> type[MaskedLM]: ...
    @property
    def next_sentence(self) -> bool: ...

    def learn(self, texts: Sequence[TextFile], folder: Path) -> None:
        """Make what `tokenizer` needs, in the folder of the corpus."""

    def tokenizer(self, folder: Path) -> Tokenizer:
        """That of the corpus in this folder."""

    def model(self, tokenizer: Tokenizer) -> BertForPreTraining | BertForMaskedLM:
        """The model before the first step."""

    def finish(
        self, model: BertForPreTraining | BertForMaskedLM, tokenizer: Tokenizer
    ) -> Tokenizer:
        """Make the model what it is to be saved as; the tokenizer that is saved with it."""


@dataclass(frozen=True)
class FromNothing:
    """A new BERT: its vocabulary is learned from the texts, its weights are random, and it learns
    both of BERT's tasks."""

    config: BertConfig
    vocabulary_size: int

    task = PreTraining
    next_sentence = True

    @property
    def corpus(self) -> str:
        return f"corpus-{self.vocabulary_size}"

    @property
    def settings(self) -> dict[str, Any]:
        return {"vocabulary_size": self.vocabulary_size}

    def learn(self, texts: Sequence[TextFile], folder: Path) -> None:
        vocabulary = train_vocabulary(texts, self.vocabulary_size)
        WordPieceTokenizer(vocabulary).save_pretrained(folder / "tokenizer")

    def tokenizer(self, folder: Path) -> Tokenizer:
        return WordPieceTokenizer.from_pretrained(folder / "tokenizer")

    def model(self, tokenizer: Tokenizer) -> BertForPreTraining:
        return BertForPreTraining(replace(self.config, vocab_size=tokenizer.vocabulary.size))

    def finish(
        self, model: BertForPreTraining | BertForMaskedLM, tokenizer: Tokenizer
    ) -> Tokenizer:
        """With the dropout that fine-tuning is used to."""
        usual = BertConfig()
        model.config = replace(
            model.config,
            hidden_dropout_prob=usual.hidden_dropout_prob,
            attention_probs_dropout_prob=usual.attention_probs_dropout_prob,
        )
        # transformers cuts a text only if the tokenizer says at what length.
        return Tokenizer(replace(tokenizer.vocabulary, model_max_length=model.config.max_length))


class FromModel:
    """A trained masked language model of any family, with its own tokenizer, which goes on learning
    to guess masked tokens: neither next sentences, as in BERT, nor replaced tokens, as in ELECTRA.
    """

    corpus = "corpus"
    task = MaskedLM
    next_sentence = False

    def __init__(self, dir_or_name: str, max_length: int) -> None:
        """max_length: tokens of the rows to come. Raises `ValueError` for a model that cannot take
        them, or was never trained to guess tokens; and as `from_pretrained`."""
        self.settings: dict[str, Any] = {"model": dir_or_name}
        self._tokenizer = Tokenizer.from_pretrained(dir_or_name)
        self._model = BertForMaskedLM.opened(find_folder(dir_or_name))
        report = self._model.load_report
        assert report is not None  # it was just loaded
        if report.newly_initialised:
            raise ValueError(
                f"{dir_or_name} is no trained masked language model: it has no weights for "
                f"{report.told(report.newly_initialised[:1])}; give one that has, such as "
                "bert-base-uncased or roberta-base, or a folder that pre-training wrote"
            )
        check_vocabulary(self._tokenizer, self._model.config)
        if max_length > self._model.config.max_length:
            raise ValueError(
                f"max_length is {max_length}; {dir_or_name} has positions for "
                f"{self._model.config.max_length}"
            )

    def learn(self, texts: Sequence[TextFile], folder: Path) -> None:
        pass  # it has learned its tokens

    def tokenizer(self, folder: Path) -> Tokenizer:
        return self._tokenizer

    def model(self, tokenizer: Tokenizer) -> BertForMaskedLM:
        return self._model

    def finish(
        self, model: BertForPreTraining | BertForMaskedLM, tokenizer: Tokenizer
    ) -> Tokenizer:
        return tokenizer
