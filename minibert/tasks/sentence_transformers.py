"""Folders that the sentence-transformers library wrote: which steps make a vector of a text.

modules.json lists the steps, each with a folder of its own: the BERT, the pooling, perhaps a
normalization. A folder without that file holds a bare BERT.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from minibert.checkpoint.files import json_or_empty, read_json
from minibert.text.vocabulary import Vocabulary

Pooling = Literal["cls", "mean", "pooler"]

_USUAL = ["Transformer", "Pooling", "Normalize"]
_OLD_MODES = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


@dataclass(frozen=True)
class SentenceFolder:
    """A model folder and its steps, in order: the name of each and its path; {} for a bare BERT."""

    folder: Path
    steps: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> SentenceFolder:
        """Raises `ValueError` for a modules.json that is damaged."""
        path = folder / "modules.json"
        if not path.is_file():
            return cls(folder, {})
        try:
            steps = {
                step["type"].rpartition(".")[2]: step["path"] for step in read_json(path, list)
            }
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a list of modules with type and path") from error
        return cls(folder, steps)

    @property
    def body(self) -> Path:
        """The folder of the BERT; in old models it is one level down."""
        return self.folder / self.steps.get("Transformer", "")

    @property
    def _settings(self) -> dict[str, Any]:
        return json_or_empty(self.body / "sentence_bert_config.json") if self.steps else {}

    def vocabulary(self) -> Vocabulary:
        """The BERT's, with the length and the lower-casing that the steps ask for."""
        vocabulary, settings = Vocabulary.from_folder(self.body), self._settings
        if settings.get("do_lower_case") and not vocabulary.lower_case:
            # Without an explicit strip_accents the accents would go as well, and there they stay.
            accents = vocabulary.strip_accents or False
            vocabulary = replace(vocabulary, lower_case=True, strip_accents=accents)
        return vocabulary

    def max_length(self, vocabulary: Vocabulary, longest: int) -> int:
        """Tokens a text is cut to: as the steps or the tokenizer's files say, or else `longest`,
        which is what the model takes."""
        found = self._settings.get("max_seq_length") or vocabulary.model_max_length
        return min(found, longest) if isinstance(found, int) else longest

    def pooling(self) -> tuple[Pooling, bool]:
        """(pooling, whether to normalize); ("mean", True) for a bare BERT.

        Raises `ValueError` for steps that TextEncoder does not have.
        """
        if not self.steps:
            return "mean", True
        modes = self._modes()
        whole = json_or_empty(self.folder / "config_sentence_transformers.json")
        prompt = whole.get("prompts", {}).get(whole.get("default_prompt_name"))
        dimensions = whole.get("truncate_dim")
        known = list(self.steps) in (_USUAL, _USUAL[:2]) and modes in (["cls"], ["mean"])
        if not known or dimensions or prompt:
            raise ValueError(
                f"{self.folder} wants the steps {', '.join(self.steps)} with pooling {modes}, "
                f"prompt {prompt!r} and truncate_dim {dimensions}; TextEncoder can pool by 'cls' "
                "or 'mean' and then normalize. Pass pooling and normalize to use the model that way"
            )
        return modes[0], "Normalize" in self.steps

    def _modes(self) -> list[Any]:
        """What the pooling step makes of a text's tokens."""
        config = json_or_empty(self.folder / self.steps.get("Pooling", "") / "config.json")
        if "pooling_mode" in config:
            modes = config["pooling_mode"]
            return [modes] if isinstance(modes, str) else modes
        # Older files have a switch for each mode.
        switches = {key: on for key, on in config.items() if key.startswith("pooling_mode_")}
        return [_OLD_MODES.get(key, key) for key, on in switches.items() if on]
