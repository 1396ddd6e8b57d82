"""The names of the weights: Hugging Face's and ours, in one table, both directions.

Pure functions from dict to dict: no files, no modules. One thing changes besides the names: query,
key and value, three matrices there, are stacked into one here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from minibert._checks import enumerated, shown
from minibert.checkpoint.tensors import are_same, check_finite, nonfinite, stack
from minibert.variants import BERT
from minibert.variants.variant import Variant

# Ours -> Hugging Face's. {} is the number of the layer. Three names on the right are stacked along
# the first dimension, in that order. In the file of a model with a head, every name but the head's
# own carries the prefix "bert."; so it does in ours.
TABLE: dict[str, tuple[str, ...]] = {
    "embeddings.token.weight": ("embeddings.word_embeddings.weight",),
    "embeddings.position.weight": ("embeddings.position_embeddings.weight",),
    "embeddings.segment.weight": ("embeddings.token_type_embeddings.weight",),
    "embeddings.norm.weight": ("embeddings.LayerNorm.weight",),
    "embeddings.norm.bias": ("embeddings.LayerNorm.bias",),
    "encoder.layers.{}.attention.query_key_value.weight": (
        "encoder.layer.{}.attention.self.query.weight",
        "encoder.layer.{}.attention.self.key.weight",
        "encoder.layer.{}.attention.self.value.weight",
    ),
    "encoder.layers.{}.attention.query_key_value.bias": (
        "encoder.layer.{}.attention.self.query.bias",
        "encoder.layer.{}.attention.self.key.bias",
        "encoder.layer.{}.attention.self.value.bias",
    ),
    "encoder.layers.{}.attention.output.weight": (
        "encoder.layer.{}.attention.output.dense.weight",
    ),
    "encoder.layers.{}.attention.output.bias": ("encoder.layer.{}.attention.output.dense.bias",),
    "encoder.layers.{}.attention_norm.weight": (
        "encoder.layer.{}.attention.output.LayerNorm.weight",
    ),
    "encoder.layers.{}.attention_norm.bias": ("encoder.layer.{}.attention.output.LayerNorm.bias",),
    "encoder.layers.{}.feed_forward.up.weight": ("encoder.layer.{}.intermediate.dense.weight",),
    "encoder.layers.{}.feed_forward.up.bias": ("encoder.layer.{}.intermediate.dense.bias",),
    "encoder.layers.{}.feed_forward.down.weight": ("encoder.layer.{}.output.dense.weight",),
    "encoder.layers.{}.feed_forward.down.bias": ("encoder.layer.{}.output.dense.bias",),
    "encoder.layers.{}.feed_forward_norm.weight": ("encoder.layer.{}.output.LayerNorm.weight",),
    "encoder.layers.{}.feed_forward_norm.bias": ("encoder.layer.{}.output.LayerNorm.bias",),
    "pooler.dense.weight": ("pooler.dense.weight",),
    "pooler.dense.bias": ("pooler.dense.bias",),
    "masked_lm.dense.weight": ("cls.predictions.transform.dense.weight",),
    "masked_lm.dense.bias": ("cls.predictions.transform.dense.bias",),
    "masked_lm.norm.weight": ("cls.predictions.transform.LayerNorm.weight",),
    "masked_lm.norm.bias": ("cls.predictions.transform.LayerNorm.bias",),
    "masked_lm.bias": ("cls.predictions.bias",),
    "next_sentence.weight": ("cls.seq_relationship.weight",),
    "next_sentence.bias": ("cls.seq_relationship.bias",),
    "classifier.weight": ("classifier.weight",),
    "classifier.bias": ("classifier.bias",),
    "span.weight": ("qa_outputs.weight",),
    "span.bias": ("qa_outputs.bias",),
}

# What sits on top of the encoder in checkpoints of other tasks: may be absent from a file, and is
# ignored, and reported, where this model has no use for it. The same for every family.
_HEADS = (
    "classifier|cls|qa_outputs"
    "|pre_classifier|vocab_transform|vocab_layer_norm|vocab_projector"  # DistilBERT
    "|lm_head"  # RoBERTa
    "|generator_predictions|generator_lm_head|discriminator_predictions"  # ELECTRA
    "|predictions|sop_classifier"  # ALBERT
)
_TOP = re.compile(rf"^(pooler|{_HEADS})\.")
_HEAD = re.compile(rf"^({_HEADS})\.")
# What torch.compile, DataParallel and FSDP put into the names of the modules that they wrap.
_WRAPPER = re.compile(
    r"(?<![^.])(_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_LEGACY_NORM = re.compile(r"(?<=LayerNorm\.)(gamma|beta)$")
_LEGACY_NAMES = {"gamma": "weight", "beta": "bias"}
# Buffers that old versions of transformers saved: the numbers 0, 1, 2, ... or zeros, not weights.
_BUFFER = re.compile(r"^embeddings\.(position_ids|token_type_ids)$")


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor in a checkpoint.

    loaded: our names that were filled from the file. renamed: (name in the file, name it stands
    for), where the file has a legacy name, that of a wrapped module, or only the tied name of a
    weight. tied: names in the file that repeat another tensor of it. ignored: names in the file
    that this model has no use for. newly_initialised: our names that the file does not have; train
    them before use. in_files: our name -> what files call it, of each of these.
    """

    source: str
    loaded: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    tied: tuple[str, ...]
    ignored: tuple[str, ...]
    newly_initialised: tuple[str, ...]
    in_files: Mapping[str, str] = field(default_factory=dict)

    def told(self, new: Iterable[str]) -> str:
        """Some of the new names, each with what files call it, where that is something else."""
        theirs = {name: self.in_files.get(name, name) for name in new}
        return ", ".join(
            name if name.removeprefix("bert.") == other else f"{name} ({other} in files)"
            for name, other in theirs.items()
        )

    def __str__(self) -> str:
        text = (
            f"{self.source}: {len(self.loaded)} loaded, {len(self.renamed)} renamed, "
            f"{len(self.tied)} tied, {len(self.ignored)} ignored, "
            f"{len(self.newly_initialised)} newly initialised"
        )
        for title, names in (
            ("ignored", ", ".join(self.ignored)),
            ("newly initialised", self.told(self.newly_initialised)),
        ):
            text += f"\n  {title}: {names}" if names else ""
        return text


@dataclass(frozen=True)
class Names:
    """How the files of a family call the tensors of one kind of model.

    variant: the family. rows: whether the model is a `BertForClassification`, whose head has names
    of its own in some families.
    """

    variant: Variant = BERT
    rows: bool = False

    @cached_property
    def table(self) -> dict[str, tuple[str, ...]]:
        """`TABLE` with the family's differences laid over it."""
        table = dict(TABLE)
        for name, theirs in {
            **self.variant.names,
            **(self.variant.row_names if self.rows else {}),
        }.items():
            endings = [""] if name in TABLE or name.endswith(".bias") else [".weight", ".bias"]
            for ending in endings:
                table[name + ending] = tuple(their + ending for their in theirs)
        return table

    def of(self, our_name: str) -> tuple[str, ...]:
        """The names, without prefix, under which files store one of our tensors."""
        layer = re.search(r"\.(\d+)\.", our_name)
        number = layer[1] if layer else ""
        entry = self.table[our_name.replace(f".{number}.", ".{}.", 1) if layer else our_name]
        return tuple(name.format(number) for name in entry)

    def bare(self, name: str) -> str:
        """A modern name without the family's prefix."""
        return modern_name(name).removeprefix(self.variant.prefix)

    def layer(self, bare: str) -> str | None:
        """The number of the layer that a bare name belongs to, as it stands there."""
        match = re.match(rf"{re.escape(self.layers)}\.(\d+)\.", bare)
        return match and match[1]

    @property
    def layers(self) -> str:
        """How the names of all layers begin, up to their number."""
        return self.table["encoder.layers.{}.attention.output.weight"][0].partition(".{}")[0]


def from_hf(
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, torch.Size],
    source: str,
    allow_nonfinite: bool = False,
    names: Names = Names(),
) -> tuple[dict[str, Tensor], LoadReport]:
    """Turn a Hugging Face state dict into ours.

    tensors: as stored, with or without the family's prefix. shapes: our names, with or without
    "bert.", and the shapes the model has for them. source: where the tensors come from, for
    messages. names: what the file calls them.
    Returns new fp32 tensors under our names, and the report. Raises `ValueError`, naming the
    tensors, when the encoder is incomplete, a shape differs, a tensor has no explanation or, unless
    `allow_nonfinite`, holds values that are NaN or infinite.
    """
    files = bare_names(tensors, source, names)  # bare name -> name in the file
    renamed = [(name, modern_name(name)) for name in tensors if modern_name(name) != name]
    files, taken = take_copies(files, names.variant.tied)
    tied: list[str] = []
    if "masked_lm.bias" in shapes:
        files, tied = drop_copies(files, tensors, source, names.variant.tied)

    ours: dict[str, Tensor] = {}
    new: list[str] = []  # our names
    lacking: list[str] = []  # bare names
    bad: dict[str, int] = {}  # names in the file -> how many values are not finite
    for name, shape in shapes.items():
        parts = names.of(name.removeprefix("bert."))
        absent = [part for part in parts if part not in files]
        if not absent:
            found = {files[part]: tensors[files.pop(part)] for part in parts}
            ours[name] = stack(found, shape, source)
            if not allow_nonfinite:
                bad |= nonfinite(found, ours[name])
        elif _TOP.match(absent[0]):
            new.append(name)
        else:
            lacking += absent

    check_explained(files, lacking, source)
    check_finite(bad, source)
    return ours, LoadReport(
        source=source,
        loaded=tuple(ours),
        renamed=(*renamed, *taken),
        tied=tuple(tied),
        ignored=tuple(files.values()),
        newly_initialised=tuple(new),
        in_files={name: names.of(name.removeprefix("bert."))[0] for name in new},
    )


def modern_name(name: str) -> str:
    """A name as transformers writes it today.

    >>> modern_name("bert.embeddings.LayerNorm.gamma")
    'bert.embeddings.LayerNorm.weight'
    >>> modern_name("module._orig_mod.bert.pooler.dense.bias")
    'bert.pooler.dense.bias'
    """
    return _LEGACY_NORM.sub(lambda match: _LEGACY_NAMES[match[1]], _WRAPPER.sub("", name))


def bare_names(stored: Iterable[str], source: str, names: Names = Names()) -> dict[str, str]:
    """Modern names without prefix -> the names in the file."""
    files: dict[str, str] = {}
    for name in stored:
        bare = names.bare(name)
        if bare in files:
            raise ValueError(f"{source}: {_some([name, files[bare]])} are the same weight")
        files[bare] = name
    return files


def check_layers(stored: Iterable[str], expected: int, source: str, names: Names = Names()) -> None:
    """Raise `ValueError` unless a file with these names has so many layers.

    To be asked before a model is built: a config may say any number.
    """
    files = bare_names(stored, source, names)
    found = {number for name in files if (number := names.layer(name)) is not None}
    if not found:
        known = {name for theirs in names.table.values() for name in theirs}
        left = {bare: name for bare, name in files.items() if bare not in known}
        check_explained(left, [f"every {names.layers}"], source)
    if len(found) != expected:
        grouped = "num_hidden_groups" in names.variant.optional  # ALBERT's files have these only
        counted = "num_hidden_groups" if grouped else "num_hidden_layers"
        raise ValueError(
            f"{source}: the weights have {len(found)} layers, and {counted} is {expected}; "
            "config.json does not belong to these weights"
        )


def take_copies(
    files: Mapping[str, str], copies: Mapping[str, str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The names, where a weight stored only as its copy counts as the original; and which did."""
    files, taken = dict(files), []
    for copy, original in copies.items():
        if copy in files and original not in files:
            files[original] = files.pop(copy)
            taken.append((files[original], original))
    return files, taken


def drop_copies(
    files: Mapping[str, str],
    tensors: Mapping[str, Tensor],
    source: str,
    copies: Mapping[str, str],
) -> tuple[dict[str, str], list[str]]:
    """The names without those of copies, each equal to its original; and the copies."""
    files, tied = dict(files), []
    for copy, original in copies.items():
        if copy in files:
            pair = {name: tensors[name] for name in (files[copy], files[original])}
            if not are_same(pair, source):
                raise ValueError(
                    f"{source}: {files[copy]} differs from {files[original]}, and BERT's masked "
                    "language model has one of them; was it trained with tie_word_embeddings off?"
                )
            tied.append(files.pop(copy))
    return files, tied


def check_explained(left: Mapping[str, str], lacking: Sequence[str], source: str) -> None:
    """The verdict: raise `ValueError` if a tensor has no explanation, or the encoder lacks one.

    left: bare name -> name in the file, of tensors without use. lacking: bare names.
    """
    unknown = [
        name for bare, name in left.items() if not _TOP.match(bare) and not _BUFFER.match(bare)
    ]
    if lacking or unknown:
        raise ValueError(
            f"{source} is not a checkpoint of this config. "
            + (f"It lacks {_some(lacking)}. " if lacking else "")
            + (f"It has the unknown {_some(unknown)}. " if unknown else "")
            + "Is config.json the one these weights were saved with? A head that minibert does not "
            "have must be taken out of the file."
        )


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without what torch.compile and others put into the names of wrapped modules."""
    return {_WRAPPER.sub("", name): tensor for name, tensor in tensors.items()}


def to_hf(tensors: Mapping[str, Tensor], names: Names = Names()) -> dict[str, Tensor]:
    """Turn our state dict into the one transformers saves for the same model.

    Layers that share weights have each their own in it, as in a model of transformers.
    """
    with_head = any(name.startswith("bert.") for name in tensors)
    hf: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        if memory in seen:
            tensor = tensor.clone()
        seen.add(memory)
        theirs = names.of(name.removeprefix("bert."))
        for hf_name, part in zip(theirs, tensor.chunk(len(theirs)), strict=True):
            prefix = names.variant.prefix if with_head and not _HEAD.match(hf_name) else ""
            hf[prefix + hf_name] = part.contiguous()
    return hf


def _some(names: Iterable[str], most: int = 6) -> str:
    """The first few names, and how many more there are."""
    return enumerated([n if n.isprintable() and len(n) <= 100 else shown(n) for n in names], most)
