"""scikit-learn's conventions, without scikit-learn: settings are the fields of a dataclass."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from minibert._checks import shown

EstimatorT = TypeVar("EstimatorT", bound="Classifier")


class Classifier:
    """The base of a dataclass that scikit-learn can clone, search and cross-validate.

    The fields are the parameters. They stay as they were given, which `clone` insists on, and are
    checked in `fit`.
    """

    _estimator_type = "classifier"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name. deep: scikit-learn's; no setting here has settings of its own."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: EstimatorT, **parameters: Any) -> EstimatorT:
        """Change settings. `max_length` and `truncation` count for the next texts, the others from
        the next `fit` on. Raises `ValueError` for a name that is none of theirs."""
        for name, value in parameters.items():
            if name not in self._names():
                raise ValueError(
                    f"{shown(name)} is no parameter; they are {', '.join(self._names())}"
                )
            setattr(self, name, value)
        return self

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

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
