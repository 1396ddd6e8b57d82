"""Folders that the sentence-transformers library wrote: which steps make a vector of a text.

modules.json lists the steps, each with a folder of its own: the BERT, the pooling, perhaps a
normalization. A folder without that file holds a bare BERT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from minibert._checks import shown
from minibert.checkpoint.files import is_there, json_or_empty, read_json
from minibert.checkpoint.schema import (
    OBJECT,
    SWITCH,
    TEXT,
    Rule,
    get,
    in_file,
    list_of,
    mapping_of,
    optional,
    whole,
)
from minibert.text.reading import read_vocabulary
from minibert.text.vocabulary import Vocabulary, WordPieceVocabulary

Pooling = Literal["cls", "mean", "pooler"]

_USUAL = ["Transformer", "Pooling", "Normalize"]
_SETTINGS_FILE = "sentence_bert_config.json"
# What the keys that are read may be, file by file.
_SETTINGS = {"max_seq_length": optional(whole(least=2)), "do_lower_case": optional(SWITCH)}
_OPTIONS = {
    "prompts": optional(mapping_of(optional(TEXT))),
    "default_prompt_name": optional(TEXT),
    "truncate_dim": optional(whole(least=1)),
}
_INSIDE = Rule(
    lambda value: (
        TEXT.holds(value)
        and not {"..", "/"} & set(Path(value).parts)
        and "\0" not in value
        and len(value) < 256
    ),
    "the path of a folder inside this one",
)
_MODES = Rule(
    lambda value: TEXT.holds(value) or list_of(TEXT).holds(value), "a string, or a list of strings"
)
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
        if not is_there(path):
            return cls(folder, {})
        modules = read_json(path, list)
        steps: dict[str, str] = {}
        with in_file(path):
            for module in modules:
                OBJECT.check("a module", module)
                name = str(get(module, "type", TEXT, ""))
                if name.startswith("sentence_transformers."):  # others are code of somebody's own
                    name = name.rpartition(".")[2]
                path_in_folder = get(module, "path", _INSIDE)
                if not name or path_in_folder is None:
                    raise ValueError(
                        f"it has the module {shown(module)}; each must have a type and a path"
                    )
                if name in ("Transformer", "Pooling") and name in steps:
                    raise ValueError(f"it has the module {name} twice; keep the right one")
                steps[name] = path_in_folder
            if not steps:
                raise ValueError("it has no modules; without this file the folder is a bare BERT")
        return cls(folder, steps)

    @property
    def body(self) -> Path:
        """The folder of the BERT; in old models it is one level down."""
        return self.folder / self.steps.get("Transformer", "")

    def _read(self, path: Path, rules: Mapping[str, Rule]) -> dict[str, Any]:
        """The values that a file, if it is there, has for these keys, checked by their rules."""
        data = json_or_empty(path)
        with in_file(path):
            return {key: get(data, key, rule) for key, rule in rules.items()}

    @property
    def _settings(self) -> dict[str, Any]:
        return self._read(self.body / _SETTINGS_FILE, _SETTINGS) if self.steps else {}

    def vocabulary(self) -> Vocabulary:
        """The BERT's, with the length and the lower-casing that the steps ask for."""
        vocabulary = read_vocabulary(self.body, Vocabulary)
        if self._settings.get("do_lower_case"):
            if not isinstance(vocabulary, WordPieceVocabulary):
                raise ValueError(
                    f"{self.body / _SETTINGS_FILE} has do_lower_case, and its tokenizer is not "
                    "BERT's WordPiece, the only one that can be told to; set it to false and "
                    "lower-case the texts yourself"
                )
            if not vocabulary.lower_case:
                # Without an explicit strip_accents the accents would go, too, and there they stay.
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
        prompt, dimensions = self._prompt_and_dimensions()
        known = list(self.steps) in (_USUAL, _USUAL[:2]) and modes in (["cls"], ["mean"])
        if not known or dimensions or prompt:
            steps = shown(", ".join(self.steps)).strip("'")
            raise ValueError(
                f"{self.folder} wants the steps {steps} with pooling {shown(modes)}, prompt "
                f"{shown(prompt)} and truncate_dim {dimensions}; TextEncoder can pool by 'cls' or "
                "'mean' and then normalize. Pass pooling and normalize to use the model that way"
            )
        return modes[0], "Normalize" in self.steps

    def _prompt_and_dimensions(self) -> tuple[str | None, int | None]:
        """What is put before each text, and how much of a vector is kept; None for nothing."""
        path = self.folder / "config_sentence_transformers.json"
        options = self._read(path, _OPTIONS)
        name, prompts = options["default_prompt_name"], options["prompts"] or {}
        if name is not None and name not in prompts:
            raise ValueError(
                f"{path}: default_prompt_name is {shown(name)}, and its prompts have no such name"
            )
        return prompts.get(name), options["truncate_dim"]

    def _modes(self) -> list[Any]:
        """What the pooling step makes of a text's tokens."""
        path = self.folder / self.steps.get("Pooling", "") / "config.json"
        config = json_or_empty(path)
        with in_file(path):
            if "pooling_mode" in config:
                modes = get(config, "pooling_mode", _MODES)
                return [modes] if isinstance(modes, str) else modes
            # Older files have a switch for each mode.
            switches = [key for key in config if key.startswith("pooling_mode_")]
            return [_OLD_MODES.get(key, key) for key in switches if get(config, key, SWITCH)]
