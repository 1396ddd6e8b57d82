"""Pretrained: what every model of the book can do with a checkpoint, loading and saving."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import Field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, NoReturn, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from minibert._checks import check_devices, check_has_weights, given, refuse_tracing, warn
from minibert.checkpoint.files import CONFIG, TOKENIZER_FILES, read_config, read_weights
from minibert.checkpoint.folders import new_model_folder, write_weights
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.names import LoadReport, Names, check_layers, from_hf, to_hf, unwrapped
from minibert.checkpoint.tensors import check_loadable
from minibert.variants.variant import Variant


class Config(Protocol):
    """What loading and saving ask of a config, which is a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def initializer_range(self) -> float: ...
    @property
    def layers_with_weights(self) -> int: ...
    @property
    def variant(self) -> Variant: ...
    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self: ...
    def to_dict(self) -> dict[str, Any]: ...


ConfigT = TypeVar("ConfigT", bound=Config)


class Pretrained(nn.Module, Generic[ConfigT]):
    """What `BertModel` and the heads share: a config, loading and saving.

    config_class: what reads config.json. hf_architecture: the class of transformers that opens our
    files. load_report: what became of each tensor in the checkpoint; None for a model made from a
    config.
    """

    config_class: type[ConfigT]
    hf_architecture = "BertModel"

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config
        self.load_report: LoadReport | None = None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if torch.jit.is_tracing() or torch.compiler.is_exporting():
            refuse_tracing()
        named = given(named)
        first = next(self.parameters(), None)  # DataParallel's replicas have none
        if first is not None and first.is_meta:  # it would compute shapes without a word
            check_has_weights(first.device)
        try:
            return super().__call__(*arguments, **named)
        except RuntimeError:
            if first is not None:
                tensors = dict(zip(("input_ids",), arguments, strict=False)) | named
                for part in self.modules():  # engine/host.py has one that fetches its batch
                    for name in getattr(part, "arguments_anywhere", ()):
                        tensors.pop(name, None)
                check_devices(self.device, tensors)
            raise

    def __prepare_scriptable__(self) -> NoReturn:
        """What torch.jit.script calls first."""
        refuse_tracing()

    def init_weights(self, module: nn.Module) -> None:
        """Fill a part of the model with BERT's random start: normal weights, zero biases.

        Source: google-research/bert modeling.py, `create_initializer`, which cuts the normal off at
        two standard deviations; transformers and this library do not.
        """
        if next(module.parameters()).is_meta:
            return  # _load builds such a model, to be filled from a file
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False):
                if name == "bias":
                    nn.init.zeros_(parameter)
                elif isinstance(part, nn.LayerNorm):
                    nn.init.ones_(parameter)
                else:
                    nn.init.normal_(parameter, std=self.config.initializer_range)
            if isinstance(part, nn.Embedding) and part.padding_idx is not None:
                nn.init.zeros_(part.weight[part.padding_idx])

    @classmethod
    def from_pretrained(cls, dir_or_name: str | Path, *, allow_nonfinite: bool = False) -> Self:
        """Load a checkpoint: a folder, an alias such as `minilm-l6`, or a hub name `owner/name`.

        It may be of any family in `minibert.variants`; `model_type` in its config.json says which.
        The model comes in evaluation mode and fp32, whatever the file's number format; see
        `load_report` for what was read. allow_nonfinite: load weights that are NaN or infinite.

        Raises `FileNotFoundError` when there is no such model and `ValueError` when it is of
        another family, its files are damaged or its weights are not numbers.
        """
        model = cls.opened(find_folder(dir_or_name), allow_nonfinite=allow_nonfinite)
        model.warn_of_new_weights()
        return model

    @classmethod
    def opened(cls, folder: Path, *, allow_nonfinite: bool = False) -> Self:
        """As `from_pretrained`, but silent about weights that are new: its `load_report` has
        them."""
        config = read_config(folder, cls.config_class.from_dict)
        tensors = read_weights(folder)
        return cls._load(config, tensors, str(folder), allow_nonfinite=allow_nonfinite)

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.parameters()).device

    def warn_of_new_weights(self, expected: Callable[[str], bool] = lambda name: False) -> None:
        """Warn of weights that start at random, but not of those that were asked to be new."""
        assert self.load_report is not None  # it was just loaded
        surprising = [name for name in self.load_report.newly_initialised if not expected(name)]
        if surprising:
            warn(
                f"{self.load_report.source} has no weights for "
                f"{self.load_report.told(surprising)} of {type(self).__name__}, or those of "
                "another task; they start at random, so train the model before you use it"
            )

    @classmethod
    def _build(cls, config: ConfigT, tensors: Mapping[str, Tensor]) -> Self:
        """The module for these weights. A class with optional parts looks at what is there."""
        return cls(config)

    @classmethod
    def _names(cls, config: ConfigT) -> Names:
        """What the files of such a model call its tensors."""
        return Names(config.variant, rows=cls.hf_architecture == "BertForSequenceClassification")

    def _stored(self) -> dict[str, Tensor]:
        """What files hold of the model, by our names."""
        tensors = unwrapped(self.state_dict())
        if self.config.variant.has_pooler:
            return tensors
        # The layer in the pooler's place belongs to the classifier, not to the encoder alone.
        return {name: x for name, x in tensors.items() if not name.startswith("pooler.")}

    @classmethod
    def _reader(cls) -> type[Self]:
        """The class that opens what this one writes.

        It is one of the book's, where this is derived from one and its constructor may ask for more
        than a config.
        """
        named = (kind for kind in cls.__mro__ if "hf_architecture" in vars(kind))
        return next((kind for kind in named if kind is not Pretrained), cls)

    @classmethod
    def _load(
        cls,
        config: ConfigT,
        tensors: Mapping[str, Tensor],
        source: str,
        unused: tuple[str, ...] = (),
        allow_nonfinite: bool = False,
    ) -> Self:
        """The model with these tensors of a file; unused: names in it that were left out."""
        # In a thread of its own. PyTorch shares out large tensors among helper threads, which
        # belong to the thread that needed them first and end with it. If the caller's had some, a
        # process forked from this one, which has none of them, would wait for them for ever. Nor is
        # a new thread in `inference_mode`, whose weights could never be trained.
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(cls._filled, config, tensors, source, unused, allow_nonfinite)
            return made.result()

    @classmethod
    def _filled(
        cls,
        config: ConfigT,
        tensors: Mapping[str, Tensor],
        source: str,
        unused: tuple[str, ...],
        allow_nonfinite: bool,
    ) -> Self:
        names = cls._names(config)
        check_layers(tensors, config.layers_with_weights, source, names)
        # On the meta device a module has shapes and no memory, so nothing is filled with random
        # numbers only to be overwritten, and the weights are in memory once.
        with torch.device("meta"):
            model = cls._build(config, tensors)
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        state, report = from_hf(tensors, shapes, source, allow_nonfinite, names)
        # dict.fromkeys: each module once, in a fixed order, for they draw random numbers.
        for path in dict.fromkeys(n.rpartition(".")[0] for n in report.newly_initialised):
            module = model.get_submodule(path).to(torch.float32)  # not PyTorch's default dtype
            model.init_weights(module.to_empty(device="cpu"))
        for name in report.newly_initialised:
            state[name] = model.get_parameter(name)
        model.load_state_dict(state, assign=True)
        model.load_report = replace(report, ignored=(*report.ignored, *unused))
        return model.eval()

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write config and weights to a new folder that transformers opens unchanged.

        The folder appears whole or not at all. An existing one is refused with `FileExistsError`;
        with `overwrite` it is replaced, if it is a model folder that this program does not run in,
        and its tokenizer is kept; see `new_model_folder`. To put a tokenizer into a folder:
        `Tokenizer.save_pretrained`.
        """
        with new_model_folder(folder, overwrite) as unfinished:
            for name in TOKENIZER_FILES:
                if (Path(folder) / name).is_file():
                    shutil.copy2(Path(folder) / name, unfinished)
            self.write_files(unfinished)

    def write_files(self, folder: Path) -> None:
        """Write config and weights into a folder that exists.

        Raises `ValueError` for a model that was changed so that nothing could load the files: its
        embeddings are longer than its config says, or adapters stand where its layers were.
        """
        check_has_weights(self.device)
        tensors = self._stored()
        with torch.device("meta"):
            like = self._reader()._build(self.config, tensors)
        check_loadable(tensors, {name: p.shape for name, p in like.named_parameters()})
        dtype = str(next(self.parameters()).dtype).removeprefix("torch.")
        data = {
            **self.config.to_dict(),
            "architectures": [self.config.variant.architecture(self.hf_architecture)],
            "dtype": dtype,  # transformers loads the weights as this
        }
        text = json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        write_weights(to_hf(tensors, self._names(self.config)), folder)
