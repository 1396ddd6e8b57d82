"""FillMask: what a masked language model puts in place of [MASK].

This is what BERT was pre-trained for, and shows what it has learned of language and of the world.
Paper: Devlin et al. 2019, section 3.1; reference: the fill-mask pipeline of transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.engine.rows import Batch, framed, room_for
from minibert.engine.streams import AnswerStream, Encoded
from minibert.pretraining import BertForMaskedLM
from minibert.tasks.trained import Trained, single_text
from minibert.text.inputs import check_text, listed


class Fill(NamedTuple):
    """A token for a mask.

    score: its probability, 0 to 1, among all tokens of the vocabulary. token_id, token: the id and
    its text, with a space in front where it begins a word and the tokenizer says so. sequence: the
    text with the token in the mask's place, as the tokenizer reads it; other masks stay.
    """

    score: float
    token_id: int
    token: str
    sequence: str


class Blanks(NamedTuple):
    """A text's ids without the frame, the places of its masks, and for each of them which row it is
    read in and which of that row's masks it is."""

    ids: list[int]
    places: list[int]
    read_in: list[tuple[int, int]]


class FillMask(Trained[BertForMaskedLM]):
    """A masked language model that names the likeliest tokens for each mask of a text.

    Each mask is filled on its own, as if nobody had filled the others. A text longer than
    max_length tokens is read around each mask, with the mask in the middle.

    >>> from minibert import BertConfig, BertForMaskedLM, Tokenizer
    >>> from minibert.tasks.fill_mask import FillMask
    >>> model = BertForMaskedLM(BertConfig.from_size("minilm-l6"))  # random weights
    >>> fill = FillMask(model, Tokenizer.from_pretrained("minilm-l6"))
    >>> (mask,) = fill.predict(["A good [MASK]."], targets=["film", "book"])[0]
    >>> sorted(found.sequence for found in mask)
    ['a good book.', 'a good film.']
    """

    model_class = BertForMaskedLM
    trained_ones = (
        "a masked language model, such as google-bert/bert-base-cased, FacebookAI/roberta-base, "
        "distilbert/distilbert-base-uncased, albert/albert-base-v2 or "
        "google/electra-base-generator; most fine-tuned models have lost that head"
    )

    @property
    def mask_token(self) -> str:
        """What a text has in place of the token to be found: [MASK], or <mask>."""
        return self.tokenizer.mask_token

    def predict(
        self, texts: Iterable[str], top_k: int = 5, targets: Iterable[str] | None = None
    ) -> list[list[list[Fill]]]:
        """For each text a list for each of its masks, in order: the `top_k` likeliest tokens.

        texts: a list, or anything that can be iterated, read as it is needed. targets: only tell
        how likely these are, the `top_k` likeliest of them. Each must be one token: an entry of the
        vocabulary or, where it has none of that name, a text that the tokenizer makes one token of.
        In RoBERTa "film" continues a word, and " film" begins one.

        Raises `ValueError` for a text without a mask or an item that is no text, with the results
        of the texts before it as its attribute `finished`, and for targets that are several tokens
        or none.
        """
        return self._stream(top_k, targets).collect(texts)

    def stream(
        self,
        texts: Iterable[str],
        top_k: int = 5,
        targets: Iterable[str] | None = None,
        window: int | None = None,
    ) -> Iterator[tuple[str, list[list[Fill]]]]:
        """Each text with its result as soon as it is known, for endless streams; window: as for
        `TextClassifier.stream`."""
        return self._stream(top_k, targets).stream(texts, window)

    def _stream(
        self, top_k: int, targets: Iterable[str] | None
    ) -> AnswerStream[str, Blanks, list[list[Fill]]]:
        candidates = self._candidates(targets)
        top_k = whole_number("top_k", top_k, 1)
        if targets is None and top_k > len(candidates):
            raise ValueError(f"top_k is {top_k}; the vocabulary has {len(candidates)} tokens")
        top_k = min(top_k, len(candidates))
        model, mask = self._engine.optimized(self.model), self.tokenizer.mask_token_id
        every = len(candidates) == model.config.vocab_size
        columns = torch.tensor(candidates, device=model.device)  # (K,)

        def compute(batch: Batch) -> Sequence[Tensor]:
            blank = batch["input_ids"] == mask  # (B, T)
            logits = model(**batch, predict=blank).logits  # (R, V): no others are computed
            scores = logits.float().softmax(dim=-1)
            best = (scores if every else scores[:, columns]).topk(top_k)  # (R, top_k), twice
            ids = columns[best.indices].float()  # exact: an id is below 2 ** 24
            return torch.stack([best.values, ids], dim=1).split(blank.sum(dim=1).tolist())

        return AnswerStream(
            model,
            self.tokenizer,
            compute=compute,
            max_length=self.max_length,
            encode=self._encode,
            answer=self._answer,
            parts=self._parts,
        )

    def _candidates(self, targets: Iterable[str] | None) -> list[int]:
        """The ids to choose from. A model may have a row in its table that no token has."""
        if targets is None:
            return sorted(self.tokenizer.tokens)
        names: dict[int, str] = {}
        for target in listed(targets, "targets"):
            i = self._id(target)
            if i in names:
                raise ValueError(
                    f"targets has {shown(names[i])} and {shown(target)}, which are the same token; "
                    "give it once"
                )
            names[i] = str(target)
        if not names:
            raise ValueError("targets is empty; give at least one, or None for all tokens")
        return list(names)

    def _id(self, target: Any) -> int:
        """The id of the one token that a target is. Raises `ValueError` for any other."""
        tokenizer = self.tokenizer
        if check_text(target, "a target") in tokenizer.ids:
            return tokenizer.ids[target]
        pieces = tokenizer.tokenize(target)
        if len(pieces) == 1 and pieces[0] != tokenizer.vocabulary.unk_token:
            return tokenizer.ids[pieces[0]]
        what = "not in the vocabulary"
        if len(pieces) > 1:
            what = f"{len(pieces)} tokens, {', '.join(map(shown, pieces[:10]))}"
        raise ValueError(
            f"the target {shown(target)} is {what}; a mask stands for one token: give words that "
            "are one"
        )

    def _parts(self, text: Any, position: int) -> Sequence[str]:
        parts = single_text(text, position)
        if self.mask_token not in text:
            raise ValueError(
                f"text {position}, {shown(text)}, has no {self.mask_token}; write it where a token "
                "is to be found"
            )
        return parts

    def _encode(self, texts: list[str]) -> list[Encoded[Blanks]]:
        return [self._encoded(ids) for ids in self.tokenizer.backend.ids(texts)]

    def _encoded(self, ids: list[int]) -> Encoded[Blanks]:
        """The row of a text, or one for each of its masks if it is too long."""
        room, mask = room_for(self.tokenizer, self.max_length), self.tokenizer.mask_token_id
        places = [i for i, each in enumerate(ids) if each == mask]
        starts = [0]
        if len(ids) > room:
            starts = [min(max(0, place - room // 2), len(ids) - room) for place in places]
        rows = [framed(self.tokenizer, ids[i : i + room]) for i in starts]
        if len(ids) > room:
            read_in = [
                (n, ids[start:place].count(mask))
                for n, (start, place) in enumerate(zip(starts, places, strict=True))
            ]
        else:
            read_in = [(0, n) for n in range(len(places))]
        return Encoded(rows, Blanks(ids, places, read_in))

    def _answer(self, text: str, blanks: Blanks, found: list[np.ndarray]) -> list[list[Fill]]:
        """found: for each row (its masks, 2, top_k), scores and ids."""
        one = len(blanks.places) == 1
        answer = []
        for place, (row, n) in zip(blanks.places, blanks.read_in, strict=True):
            scores, ids = found[row][n].tolist()
            before, after = blanks.ids[:place], blanks.ids[place + 1 :]
            answer.append(
                [
                    Fill(
                        score=score,
                        token_id=i,
                        token=self.tokenizer.decode([i]),
                        sequence=self.tokenizer.decode([*before, i, *after], one),
                    )
                    for score, i in zip(scores, map(int, ids), strict=True)
                ]
            )
        return answer
