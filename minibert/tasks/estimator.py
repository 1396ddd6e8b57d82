"""scikit-learn's conventions, without scikit-learn: what it asks of estimators.

A classifier's settings are the fields of a dataclass. An encoder turns texts into vectors and
learns nothing, so it can stand before any classifier of scikit-learn's: in a pipeline, in a
ColumnTransformer, in a search over its settings.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from minibert._checks import shown
from minibert.checkpoint.arguments import check_choice
from minibert.text.inputs import Text

EstimatorT = TypeVar("EstimatorT", bound="Estimator")
VectorizerT = TypeVar("VectorizerT", bound="Vectorizer")


class Estimator:
    """Settings by name, and what a notebook shows of the whole.

    The settings stay as they were given, which `clone` insists on, and are checked when they are
    used.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name. deep: scikit-learn's; no setting here has settings of its own."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: EstimatorT, **parameters: Any) -> EstimatorT:
        """Change settings. Those that say how texts are read, `max_length` and `truncation`, count
        for the next texts, and so do all of an encoder; others from the next `fit` on. Raises
        `ValueError` for a name that is none of theirs."""
        for name, value in parameters.items():
            if name not in self._names():
                raise ValueError(
                    f"{shown(name)} is no parameter; they are {', '.join(self._names())}"
                )
            setattr(self, name, value)
        return self

    @classmethod
    def _names(cls) -> list[str]:
        """What the settings are called: here, as the fields of a dataclass."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def _repr_html_(self) -> str | None:
        """scikit-learn's diagram, for notebooks. Without scikit-learn, or where it was told to show
        text, they take the plain line."""
        try:
            from sklearn import get_config
            from sklearn.utils import estimator_html_repr
        except ImportError:
            return None
        return estimator_html_repr(self) if get_config()["display"] == "diagram" else None


class Classifier(Estimator):
    """The base of a dataclass that scikit-learn can clone, search and cross-validate."""

    _estimator_type = "classifier"

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


class Vectorizer(Estimator):
    """The base of what turns texts into vectors: a transformer, as scikit-learn has the word.

    There is nothing to fit. `clone` gives another one with the same settings that shares the model:
    a search copies its estimator for each fold, and weights that nobody trains need no copies.
    """

    _output = "default"

    @abstractmethod
    def encode(self, texts: Iterable[Text]) -> np.ndarray:
        """Texts -> float32 (texts, C)."""

    @property
    @abstractmethod
    def width(self) -> int:
        """C, the numbers of a vector."""

    @abstractmethod
    def _check(self) -> None:
        """Raise `ValueError` for settings that cannot be used."""

    def fit(self: VectorizerT, texts: Any, labels: Any = None) -> VectorizerT:
        """Check the settings. texts, labels: scikit-learn's; nothing is learned from them."""
        self._check()
        return self

    def transform(self, texts: Iterable[Text]) -> Any:
        """As `encode`; a table where `set_output` asked for one."""
        vectors = self.encode(texts)
        if self._output == "default":
            return vectors
        from pandas import DataFrame, Series  # set_output has imported it

        index = texts.index if isinstance(texts, Series) else None
        return DataFrame(vectors, index=index, columns=self.get_feature_names_out(), copy=False)

    def fit_transform(self, texts: Iterable[Text], labels: Any = None) -> Any:
        return self.fit(texts, labels).transform(texts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns, (C,): textencoder0, textencoder1 and so on."""
        name = type(self).__name__.lower()
        return np.array([f"{name}{i}" for i in range(self.width)], dtype=object)

    def set_output(self: VectorizerT, *, transform: str | None = None) -> VectorizerT:
        """What `transform` gives: "default", an array, or "pandas", a table with the index of the
        texts if they are a column; None leaves it as it is."""
        if transform is not None:
            check_choice("transform", transform, ("default", "pandas"))
            if transform == "pandas":
                try:
                    import pandas  # noqa: F401
                except ImportError as error:
                    raise ValueError(
                        "transform is 'pandas', which is not installed: pip install pandas"
                    ) from error
            self._output = transform
        return self

    def __sklearn_clone__(self: VectorizerT) -> VectorizerT:
        return copy.copy(self)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; only scikit-learn calls it."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
            requires_fit=False,
        )

    def __sklearn_is_fitted__(self) -> bool:
        return True
