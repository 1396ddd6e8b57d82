"""What is explained: an output of a classifier for one text, as a function of its tokens.

Of a label that is the log-odds, log(p / (1 - p)) in nats: 0 where the model cannot decide, and of
two labels the difference of their logits. Probabilities would be the wrong thing to take apart.
Near 0 and 1 they hardly move, whatever a word says; and a logit alone means nothing, for softmax
lets all of a text's logits rise together. Of a model that predicts numbers it is the number.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minibert._checks import shown
from minibert.checkpoint.config_json import ProblemType
from minibert.engine.optimize import check_original
from minibert.heads import BertForClassification
from minibert.inspect.words import read_words
from minibert.tasks.label_values import checked_labels
from minibert.tasks.problems import Problem, read_problem
from minibert.tasks.text_classifier import TextClassifier
from minibert.text.inputs import Text

_TOKENS = 4096  # of the rows that are computed at once, with all that gradients need


class Explained:
    """A text, and the output of a classifier that is explained.

    label: None for the one that the classifier predicts, of several the most probable. Everything
    is computed in fp32, whatever the classifier's precision, by modules that share its weights and
    are nobody else's: other threads may go on predicting.

    text, words: what was given, and its words. index: which of the L outputs. label: its label,
    None of a number.

    Raises `ValueError` for what is no trained `TextClassifier`, an optimized model, a text without
    words (position: its number in the error), and a label that the classifier does not have.
    """

    def __init__(
        self, classifier: TextClassifier, text: Text, label: Any = None, position: int = 0
    ) -> None:
        check_explainable(classifier)
        assert isinstance(classifier.model_, BertForClassification)  # what `fit` and `load` make
        self.model = same_weights(classifier.model_)
        self.text, self.words = text, read_words(classifier, text, position)
        self._problem = read_problem(self.model.config)
        self._logits = self._logits_of(self.words.ids[None])[0]  # (L,)
        self.index = _index(self._problem, label, self._logits)
        self.label: Any = None
        if self.kind != "regression":
            self.label = self._problem.labels.classes.tolist()[self.index]

    @property
    def kind(self) -> ProblemType:
        """What the classifier says: one label, several, or a number."""
        return self._problem.problem_type

    @property
    def name(self) -> str:
        """What is explained, in words."""
        if self.label is not None:
            return f"log-odds of {shown(self.label)}"
        names = self._problem.labels.names
        return "prediction" if len(names) == 1 else f"prediction of {names[self.index]}"

    @property
    def value(self) -> float:
        """It, of the text as it is."""
        return float(self._of(self._logits[None]))

    @property
    def probability(self) -> float | None:
        """The probability of the label; a number has none."""
        return None if self.label is None else float(self._probability(self._logits))

    def values(self, ids: np.ndarray) -> np.ndarray:
        """The same of other rows as long, (B, T) -> (B,)."""
        return self._of(self._logits_of(ids)).cpu().double().numpy()

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """(B, T) -> (B,) the probability of the label."""
        return self._probability(self._logits_of(ids)).cpu().double().numpy()

    def vectors(self, ids: np.ndarray) -> Tensor:
        """(T,) -> (T, E) from the table of tokens, before positions and segments are added."""
        return self._token.weight[torch.from_numpy(ids).to(self.model.device)]

    def gradients(self, points: Tensor) -> Tensor:
        """The gradient of what is explained with respect to vectors that stand in place of the
        tokens', (B, T, E) -> (B, T, E)."""
        found = []
        for some in points.split(self._rows):
            some = some.detach().requires_grad_()
            # Rows of one length without padding are packed in the order of the batch.
            with self._token.register_forward_hook(lambda *_, some=some: some.flatten(0, 1)):
                with torch.enable_grad():
                    total = self._of(self._logits_of_rows(self.words.ids, len(some))).sum()
            found += torch.autograd.grad(total, some)
        return torch.cat(found)

    def attentions(self) -> Tensor:
        """The weights of each layer, (layers, H, T, T)."""
        with torch.no_grad():
            output = self._run(self.words.ids, 1, output_attentions=True)
        return torch.cat(output.attentions)

    @property
    def _token(self) -> nn.Embedding:
        return self.model.bert.embeddings.token

    @property
    def _rows(self) -> int:
        return max(1, _TOKENS // len(self.words.ids))

    def _of(self, logits: Tensor) -> Tensor:
        """(B, L) -> (B,) what is explained."""
        chosen = logits[:, self.index]
        if self.kind != "single_label_classification":
            return chosen  # the log-odds of a sigmoid, or a number
        others = [i for i in range(logits.shape[1]) if i != self.index]
        return chosen - logits[:, others].logsumexp(dim=1)

    def _probability(self, logits: Tensor) -> Tensor:
        return self._problem.scores(logits)[..., self.index]

    @torch.no_grad()
    def _logits_of(self, ids: np.ndarray) -> Tensor:
        parts = np.split(ids, range(self._rows, len(ids), self._rows))
        return torch.cat([self._logits_of_rows(part, len(part)) for part in parts])

    def _logits_of_rows(self, ids: np.ndarray, rows: int) -> Tensor:
        return self._run(ids, rows).logits

    def _run(self, ids: np.ndarray, rows: int, **outputs: bool) -> Any:
        """ids: (T,) or (rows, T)."""
        device = self.model.device
        batch = torch.from_numpy(ids).to(device).expand(rows, -1)  # (rows, T)
        types = torch.from_numpy(self.words.type_ids).to(device).expand(rows, -1)
        mask = torch.ones_like(batch)
        return self.model(batch, token_type_ids=types, attention_mask=mask, **outputs)


def check_explainable(classifier: object) -> None:
    """Raise `ValueError` for what cannot be explained: no trained classifier of texts, or an
    optimized one."""
    if not isinstance(classifier, TextClassifier):
        raise ValueError(
            f"what is explained is a TextClassifier, not a {type(classifier).__name__}; open a "
            "folder with one by TextClassifier.load"
        )
    classifier._check_fitted()
    check_original(classifier.model_, "explanations")


def same_weights(model: BertForClassification) -> BertForClassification:
    """The same model in modules of its own, for predictions: hooks and modes of one are not the
    other's, and no weight is there twice."""
    with torch.inference_mode(False):
        memo: dict[int, Any] = {}
        for weight in model.parameters():
            shared = weight.clone() if weight.is_inference() else weight.detach()
            memo[id(weight)] = nn.Parameter(shared, requires_grad=False)
        for tensor in _tensors(model):
            memo.setdefault(id(tensor), tensor.detach())
        return copy.deepcopy(model, memo).eval()


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Buffers, and what pruning and the like keep as plain attributes."""
    for module in model.modules():
        for value in (*module.buffers(recurse=False), *vars(module).values()):
            if isinstance(value, Tensor):
                yield value


def _index(problem: Problem, label: Any, logits: Tensor) -> int:
    """Which output a label is; of None the one that is predicted."""
    labels = problem.labels
    if label is None:
        if problem.problem_type == "regression" and len(logits) > 1:
            raise ValueError(
                f"this model predicts {len(logits)} numbers; name the one to explain as label: "
                f"{shown(labels.names)}"
            )
        return int(logits.argmax())
    if problem.problem_type == "regression" and len(logits) == 1:
        raise ValueError(
            f"label is {shown(label)}, and this model predicts a number; it is what is explained: "
            "leave label out"
        )
    (value,) = checked_labels([label], "label")
    if value not in labels.ids:
        raise ValueError(
            f"label is {shown(label)}, which this model does not have; its labels are "
            f"{shown(labels.classes.tolist())}"
        )
    return labels.ids[value]
