"""TextEncoder: texts to vectors whose cosine says how alike they are in meaning.

BERT's vectors as pre-training leaves them are poor at this; checkpoints fine-tuned on pairs of
texts, such as all-MiniLM-L6-v2, BGE and E5, are good at it. Source: Reimers & Gurevych 2019,
*Sentence-BERT*, arXiv 1908.10084; reference: the sentence-transformers library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from minibert.checkpoint.arguments import check_choice, switch
from minibert.checkpoint.hub import find_folder
from minibert.engine.host import send
from minibert.engine.long_texts import Cutting, check_cutting
from minibert.engine.optimize import Engine
from minibert.engine.rule import Precision
from minibert.engine.streams import Stream, find_device
from minibert.model import BertModel, BertOutput
from minibert.tasks.estimator import Vectorizer
from minibert.tasks.opening import check_load, check_parts, row_length
from minibert.tasks.sentence_transformers import Pooling, SentenceFolder
from minibert.text.inputs import Text
from minibert.text.windows import STRIDE
from minibert.tokenizer import Tokenizer

ANY = 2**31 - 1  # tokens: as long as the model takes, when there is none yet


class TextEncoder(Vectorizer):
    """A BERT that makes one vector of a text, or of a (text, pair) tuple.

    It is a transformer of scikit-learn's, too, without needing it: pooling, normalize, max_length,
    truncation, stride and precision are settings that a search may vary; the clones it makes share
    the model. To compare models, search over encoders: {"textencoder": [one, another]}.

    >>> from minibert import TextEncoder
    >>> encoder = TextEncoder.load("minilm-l6")
    >>> cat, kitten, tax = encoder.encode(["a cat", "a kitten", "the tax return"])
    >>> bool(cat @ kitten > cat @ tax)
    True
    """

    def __init__(
        self,
        model: BertModel,
        tokenizer: Tokenizer,
        *,
        pooling: Pooling = "mean",
        normalize: bool = True,
        max_length: int | None = None,
        truncation: Cutting = "head",
        stride: int = STRIDE,
        precision: Precision = "fp32",
    ) -> None:
        check_parts(TextEncoder, model, BertModel, tokenizer)
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.normalize = normalize
        self.max_length = model.config.max_length if max_length is None else max_length
        self.truncation = truncation
        self.stride = stride
        self.precision = precision
        self._engine = Engine(precision)
        self._check()

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        pooling: Pooling | None = None,
        normalize: bool | None = None,
        *,
        max_length: int | None = None,
        truncation: Cutting = "head",
        stride: int = STRIDE,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> TextEncoder:
        """Open any BERT or variant: a folder, an alias such as `minilm-l6`, or a hub name.

        pooling: "cls", the final vector of [CLS]; "mean", the mean over the real tokens, special
        ones included; "pooler", the pooled vector. normalize: scale each vector to length 1.
        max_length: tokens a text is cut to. truncation: what to keep of longer texts: "head",
        "head+tail", or all of it with "windows": windows of max_length tokens, the next beginning
        `stride` tokens before the last one ended; the vector is the mean of theirs, each counted by
        its tokens, and then normalized. precision: see `minibert.optimize`.

        What is left out is read from the folder if sentence-transformers wrote it; if not, it is
        "mean", True and the longest row that the tokenizer's files or the model allow. Some models
        want a prompt before each text ("query: "); add it yourself.

        Raises `ValueError` for a folder that asks for other steps than these, unless pooling and
        normalize are both given.
        """
        _check_settings(
            "mean" if pooling is None else pooling,
            True if normalize is None else normalize,
            max_length,
            truncation,
            stride,
            precision,
        )
        where = find_device(device)
        folder = SentenceFolder.read(find_folder(dir_or_name))
        vocabulary = folder.vocabulary()
        if pooling is None or normalize is None:
            found_pooling, found_normalize = folder.pooling()
            pooling = found_pooling if pooling is None else pooling
            normalize = found_normalize if normalize is None else normalize
        model = BertModel.from_pretrained(folder.body)
        model = model.to(where)
        if max_length is None:
            max_length = folder.max_length(vocabulary, model.config.max_length)
        return cls(
            model,
            Tokenizer(vocabulary),
            pooling=pooling,
            normalize=normalize,
            max_length=max_length,
            truncation=truncation,
            stride=stride,
            precision=precision,
        )

    def encode(self, texts: Iterable[Text]) -> np.ndarray:
        """Texts -> float32 (texts, C), in their order. Texts too long are cut, with one warning,
        unless `truncation` has them read in windows.

        texts: a list, or anything that can be iterated, read as it is needed: a generator, an open
        file. Raises `ValueError` for an item that is not a text, and whatever the iterable raises;
        the vectors of the texts before it are the error's attribute `finished`. After Ctrl-C it
        holds those that were complete.
        """
        return self._stream().collect(texts)

    def stream(
        self, texts: Iterable[Text], window: int | None = None
    ) -> Iterator[tuple[Text, np.ndarray]]:
        """Each text with its vector, (C,), as soon as it is known; the vectors are not kept.

        window: as for `TextClassifier.stream`. Errors, those of `encode`, come after the vectors of
        all texts before them.
        """
        return self._stream().stream(texts, window)

    def _stream(self) -> Stream:
        """The model as it stands, for texts to go through."""
        self._check()
        if self._engine.precision != self.precision:
            self._engine = Engine(self.precision)
        model = self._engine.optimized(self.model)
        return Stream(
            model,
            self.tokenizer,
            compute=lambda batch: self._pooled(model(**batch), batch),
            width=self.width,
            max_length=self._row_length,
            truncation=self.truncation,
            stride=int(self.stride),
            finish=lambda vectors: F.normalize(vectors, dim=-1) if self.normalize else vectors,
        )

    @property
    def width(self) -> int:
        return self.model.config.hidden_size

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in self.get_params().items()]
        return f"TextEncoder({', '.join(settings)})"

    def _pooled(self, output: BertOutput, batch: dict[str, Tensor]) -> Tensor:
        """What the model made of a batch -> (B, C)."""
        if self.pooling == "cls":
            return output.last_hidden_state[:, 0]
        if self.pooling == "mean":
            counts = batch["attention_mask"].sum(dim=1, keepdim=True)  # (B, 1)
            (counts,) = send([counts], output.last_hidden_state.device)
            return output.last_hidden_state.sum(dim=1) / counts  # zeros at padding add nothing
        assert output.pooler_output is not None  # `_check` has looked
        return output.pooler_output

    @classmethod
    def _names(cls) -> list[str]:
        return ["pooling", "normalize", "max_length", "truncation", "stride", "precision"]

    def _check(self) -> None:
        _check_settings(**self.get_params())
        if self.pooling == "pooler" and self.model.pooler is None:
            raise ValueError("pooling is 'pooler' and this model has none; use 'mean' or 'cls'")
        check_cutting(self.truncation, self.stride, self._row_length)

    @property
    def _row_length(self) -> int:
        """The most tokens of a row."""
        longest = self.model.config.max_length
        return longest if self.max_length is None else row_length(self.max_length, longest)


def _check_settings(
    pooling: Any, normalize: Any, max_length: Any, truncation: Any, stride: Any, precision: Any
) -> None:
    """Raise `ValueError` for a setting that no model could take."""
    check_load(max_length, precision)
    check_choice("pooling", pooling, get_args(Pooling))
    switch("normalize", normalize)
    check_cutting(truncation, stride, ANY if max_length is None else max_length)
