"""TextEncoder: texts to vectors whose cosine says how alike they are in meaning.

BERT's vectors as pre-training leaves them are poor at this; checkpoints fine-tuned on pairs of
texts, such as all-MiniLM-L6-v2, BGE and E5, are good at it. Source: Reimers & Gurevych 2019,
*Sentence-BERT*, arXiv 1908.10084; reference: the sentence-transformers library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from minibert.checkpoint.files import read_json
from minibert.checkpoint.hub import find_folder
from minibert.engine.bodies import Precision, check_precision
from minibert.engine.optimize import Engine
from minibert.engine.streams import check_vocabulary, find_device, run
from minibert.model import BertModel, BertOutput
from minibert.text.vocabulary import Vocabulary
from minibert.tokenizer import Text, WordPieceTokenizer

Pooling = Literal["cls", "mean", "pooler"]


class TextEncoder:
    """A BERT that makes one vector of a text, or of a (text, pair) tuple.

    >>> encoder = TextEncoder.load("minilm-l6")
    >>> cat, kitten, tax = encoder.encode(["a cat", "a kitten", "the tax return"])
    >>> bool(cat @ kitten > cat @ tax)
    True
    """

    def __init__(
        self,
        model: BertModel,
        tokenizer: WordPieceTokenizer,
        *,
        pooling: Pooling = "mean",
        normalize: bool = True,
        max_length: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        check_precision(precision)
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling is {pooling!r}; it must be one of {get_args(Pooling)}")
        if pooling == "pooler" and model.pooler is None:
            raise ValueError("pooling is 'pooler' and this model has none; use 'mean' or 'cls'")
        longest = model.config.max_position_embeddings
        if max_length is not None and max_length not in range(3, longest + 1):
            raise ValueError(f"max_length is {max_length!r}; this model takes 3 to {longest}")
        check_vocabulary(tokenizer, model.config)
        self.model = model.eval()
        self._engine = Engine(precision)
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.normalize = normalize
        self.max_length = max_length or longest

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        pooling: Pooling | None = None,
        normalize: bool | None = None,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> TextEncoder:
        """Open any BERT: a folder, an alias such as `minilm-l6`, or a hub name.

        pooling: "cls", the final vector of [CLS]; "mean", the mean over the real tokens, special
        ones included; "pooler", the pooled vector. normalize: scale each vector to length 1.
        max_length: tokens a text is cut to. precision: see `minibert.optimize`.

        What is left out is read from the folder if sentence-transformers wrote it; if not, it is
        "mean", True and the longest row that the tokenizer's files or the model allow. Prompts that
        some models want before each text ("query: ") are the caller's to add.

        Raises `ValueError` for a folder that asks for other steps than these, unless pooling and
        normalize are both given.
        """
        folder = find_folder(dir_or_name)
        steps = _read_steps(folder)
        body = folder / steps.get("Transformer", "")  # old folders have the BERT one level down
        vocabulary = Vocabulary.from_folder(body)
        settings = _json_or_empty(body / "sentence_bert_config.json") if steps else {}
        if settings.get("do_lower_case") and not vocabulary.lower_case:
            # Without an explicit strip_accents the accents would go as well, and there they stay.
            accents = vocabulary.strip_accents or False
            vocabulary = replace(vocabulary, lower_case=True, strip_accents=accents)
        if pooling is None or normalize is None:
            found_pooling, found_normalize = _read_pooling(folder, steps)
            pooling = found_pooling if pooling is None else pooling
            normalize = found_normalize if normalize is None else normalize
        model = BertModel.from_pretrained(body).to(find_device(device))
        if max_length is None:
            found = settings.get("max_seq_length") or vocabulary.model_max_length
            longest = model.config.max_position_embeddings
            max_length = min(found, longest) if isinstance(found, int) else longest
        return cls(
            model,
            WordPieceTokenizer(vocabulary),
            pooling=pooling,
            normalize=normalize,
            max_length=max_length,
            precision=precision,
        )

    def encode(self, texts: Iterable[Text]) -> np.ndarray:
        """Texts -> float32 (texts, C), in their order. Texts too long are cut, with one warning.

        texts: a list, or anything that can be iterated, read as it is needed: a generator, an open
        file. Raises `ValueError` for what is no text; the vectors of the texts before it are the
        error's attribute `finished`. So it is with whatever the iterable raises, and with Ctrl-C
        as far as work was complete.
        """
        model, width = self._engine.optimized(self.model), self.model.config.hidden_size
        return run(
            model,
            self.tokenizer,
            texts,
            self.max_length,
            width,
            lambda batch: self._vectors(model(**batch), batch),
        )

    def _vectors(self, output: BertOutput, batch: dict[str, Tensor]) -> Tensor:
        """What the model made of a batch -> (B, C)."""
        if self.pooling == "cls":
            vectors = output.last_hidden_state[:, 0]
        elif self.pooling == "mean":
            counts = batch["attention_mask"].sum(dim=1, keepdim=True)  # (B, 1)
            vectors = output.last_hidden_state.sum(dim=1) / counts  # zeros at padding add nothing
        else:
            assert output.pooler_output is not None  # the constructor looked
            vectors = output.pooler_output
        vectors = vectors.float()
        return F.normalize(vectors, dim=-1) if self.normalize else vectors


def _read_steps(folder: Path) -> dict[str, str]:
    """The steps of sentence-transformers with their folders, in order; {} for a bare BERT."""
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    try:
        return {step["type"].rpartition(".")[2]: step["path"] for step in read_json(path, list)}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a list of modules with type and path") from error


_OLD_MODES = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


def _read_pooling(folder: Path, steps: dict[str, str]) -> tuple[Pooling, bool]:
    """(pooling, normalize) of a folder with these steps; ("mean", True) for a bare BERT."""
    if not steps:
        return "mean", True
    config = _json_or_empty(folder / steps.get("Pooling", "") / "config.json")
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        modes = [modes] if isinstance(modes, str) else modes
    else:  # older files have a switch for each mode
        switches = {key: on for key, on in config.items() if key.startswith("pooling_mode_")}
        modes = [_OLD_MODES.get(key, key) for key, on in switches.items() if on]
    whole = _json_or_empty(folder / "config_sentence_transformers.json")
    prompt = whole.get("prompts", {}).get(whole.get("default_prompt_name"))
    usual = ["Transformer", "Pooling", "Normalize"]
    if (
        list(steps) not in (usual, usual[:2])
        or modes not in (["cls"], ["mean"])
        or whole.get("truncate_dim")
        or prompt
    ):
        raise ValueError(
            f"{folder} wants the steps {', '.join(steps)} with pooling {modes}, prompt {prompt!r} "
            f"and truncate_dim {whole.get('truncate_dim')}; TextEncoder has 'cls' or 'mean', and "
            "then normalizing. Pass pooling and normalize to use the model so"
        )
    return modes[0], "Normalize" in steps


def _json_or_empty(path: Path) -> dict[str, Any]:
    """The JSON object of a file, or an empty one if there is no such file."""
    return read_json(path) if path.is_file() else {}
