"""Which way of finding the word that matters is to be trusted? Hide the word and see.

A way of explaining names a word of each text. With [MASK] in its place the probability of what was
predicted should fall, the further the better: "comprehensiveness" of one word (DeYoung et al. 2020,
arXiv 1911.03429). It is a test of ways, not of words: with one text it says little.

Occlusion asks the very question of the test, so no way can fall further: it is the limit that the
others are measured by. A word chosen at random is the floor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minibert.checkpoint.arguments import check_choice
from minibert.inspect.attention_maps import rolled_out
from minibert.inspect.attributions import path_weights
from minibert.inspect.explained import Explained, check_explainable
from minibert.inspect.words import read_words
from minibert.tasks.text_classifier import TextClassifier
from minibert.text.inputs import Text, listed
from minibert.training.results import aligned

RANDOM = "random"


@dataclass(frozen=True, eq=False)
class DeletionTest:
    """What hiding the word of most weight does, by M methods, to N texts.

    falls: (M, N) by how much the probability of what was predicted falls, from -1 to 1.
    """

    methods: tuple[str, ...]
    falls: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """(M,) the mean fall of each method."""
        return self.falls.mean(axis=1)

    @property
    def standard_errors(self) -> np.ndarray:
        """(M,) of the means; not a number where there is one text."""
        texts = self.falls.shape[1]
        if texts < 2:
            return np.full(len(self.methods), math.nan)
        return self.falls.std(axis=1, ddof=1) / math.sqrt(texts)

    def __str__(self) -> str:
        """A table, the furthest fall first."""
        table = [["", "fall", "standard error"]]
        for i in np.argsort(-self.means, kind="stable"):
            mean, error = self.means[i], self.standard_errors[i]
            table.append([self.methods[i], f"{mean:+.3f}", f"{error:.3f}"])
        about = f"{self.falls.shape[1]} texts: how far the probability falls"
        return f"{about}\n{aligned(table)}"


@torch.inference_mode(False)
def deletion_test(
    classifier: TextClassifier, texts: Iterable[Text], methods: Sequence[str] | None = None
) -> DeletionTest:
    """By how much the probability of the predicted label falls when the word to which a method
    gives most weight is replaced by [MASK].

    methods: the names of some; None: all seven, which `NAMES` lists. "random" is the mean over all
    words of a text, which is what a random choice comes to.

    Raises `ValueError` for no texts, a text without words, a method that there is not, and a model
    that predicts numbers, which have no probability.
    """
    check_explainable(classifier)
    if classifier.model_.config.problem == "regression":
        raise ValueError(
            "this model predicts numbers, which have no probability that could fall; compare "
            "integrated_gradients and occlusion of a text"
        )
    if isinstance(methods, str):
        methods = [methods]
    chosen = NAMES if methods is None else tuple(methods)
    for method in chosen:
        check_choice("method", method, NAMES)
    texts = listed(texts)
    if not (texts and chosen):
        raise ValueError(f"there are {len(texts)} texts and {len(chosen)} methods; give some")
    for position, text in enumerate(texts):  # before the work
        read_words(classifier, text, position)
    falls = [_falls(Explained(classifier, text), chosen) for text in texts]
    return DeletionTest(chosen, np.array(falls).T)


def _falls(explained: Explained, methods: Sequence[str]) -> list[float]:
    """What hiding the word that each method names does to the probability."""
    after = explained.probabilities(explained.words.each_masked)  # (W,)
    before = explained.probabilities(explained.words.ids[None])
    falls = before - after
    return [
        float(falls.mean() if method == RANDOM else falls[METHODS[method](explained).argmax()])
        for method in methods
    ]


def _occlusion(explained: Explained) -> np.ndarray:
    return -explained.values(explained.words.each_masked)


def _gradient_norm(explained: Explained) -> np.ndarray:
    """The length of the gradient: how far the output moves for a small step of the vector."""
    return explained.words.summed(_numbers(_gradient(explained).norm(dim=1)))


def _gradient_x_input(explained: Explained) -> np.ndarray:
    """Their product: integrated gradients in one step from a vector of zeros, cut short."""
    x = explained.vectors(explained.words.ids)
    return explained.words.summed(_numbers((x * _gradient(explained)).sum(dim=1)))


def _cls_attention(explained: Explained) -> np.ndarray:
    """How much [CLS] looks at each token in the last layer, the mean of its heads."""
    return explained.words.summed(_numbers(explained.attentions()[-1].mean(dim=0)[0]))


def _rollout(explained: Explained) -> np.ndarray:
    """How much of each token is mixed into [CLS], if attention were all there is."""
    return explained.words.summed(rolled_out(_numbers(explained.attentions()))[-1, 0])


def _gradient(explained: Explained) -> Tensor:
    """(T, E) at the text as it is."""
    return explained.gradients(explained.vectors(explained.words.ids)[None])[0]


def _numbers(of_tokens: Tensor) -> np.ndarray:
    return of_tokens.cpu().double().numpy()


METHODS: dict[str, Callable[[Explained], np.ndarray]] = {
    "occlusion": _occlusion,
    "integrated gradients": path_weights,
    "gradient norm": _gradient_norm,
    "gradient x input": _gradient_x_input,
    "[CLS] attention": _cls_attention,
    "rollout": _rollout,
}
NAMES = (*METHODS, RANDOM)
