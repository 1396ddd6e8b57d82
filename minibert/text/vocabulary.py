"""What a tokenizer's files say, in one plain object; and what each kind of tokenizer adds to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from minibert._checks import shown
from minibert.checkpoint.schema import OBJECT, SWITCH, TEXT, Rule, mapping_of, optional, whole
from minibert.text.added import ID

# The special tokens that BERT gives a role, by the names of the fields that hold them.
ROLES = (
    "cls_token",
    "sep_token",
    "pad_token",
    "unk_token",
    "mask_token",
)

AS_IT_IS = "PreTrainedTokenizerFast"  # the class of transformers that changes nothing in a file

_TABLE = Rule(lambda value: isinstance(value, Mapping), "a mapping of tokens to their ids")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their ids, and the frame of a row: what every kind of tokenizer has.

    ids: every token of the model. special: tokens recognised as they are inside a text, with their
    ids; the five of `ROLES` are among them. added: words added later, with their ids, recognised in
    the normalised text and taken whole. model_max_length: the most tokens of a row that the model
    takes, where the files say so. separators: sep_tokens between a text and its pair. segments: 2
    if the type ids of a pair are 1, and 1 if all are 0. tokenizer_class: the class of transformers
    that saved files name.

    Each token has one id and each id one token; `ValueError` names those of which that is not true.
    """

    ids: Mapping[str, int]
    special: Mapping[str, int]
    _: KW_ONLY
    added: Mapping[str, int] = field(default_factory=dict)
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    pad_token: str = "[PAD]"
    unk_token: str = "[UNK]"
    mask_token: str = "[MASK]"
    model_max_length: int | None = None
    separators: int = 1
    segments: int = 2
    tokenizer_class: str = AS_IT_IS

    rules: ClassVar[Mapping[str, Rule]] = {
        **dict.fromkeys(("ids", "special", "added"), _TABLE),
        **dict.fromkeys((*ROLES, "tokenizer_class"), TEXT),
        **dict.fromkeys(("separators", "segments"), whole(least=1, most=2)),
        "model_max_length": optional(whole(least=1)),
    }

    def __post_init__(self) -> None:
        for name, rule in self.rules.items():
            rule.check(name, getattr(self, name))
        check_ids(self.ids, self.special, self.added)
        for role in ROLES:
            if getattr(self, role) not in self.special:
                raise ValueError(
                    f"its special tokens lack {shown(getattr(self, role))}, which is its {role}"
                )

    @property
    def size(self) -> int:
        """One more than the highest id: the vectors an embedding table needs."""
        return max({**self.ids, **self.special, **self.added}.values()) + 1


@dataclass(frozen=True)
class WordPieceVocabulary(Vocabulary):
    """BERT's. lower_case, strip_accents, split_cjk: as for `WordPiece`."""

    _: KW_ONLY
    lower_case: bool
    strip_accents: bool | None = None
    split_cjk: bool = True
    tokenizer_class: str = "BertTokenizer"

    rules: ClassVar[Mapping[str, Rule]] = {
        **Vocabulary.rules,
        **dict.fromkeys(("lower_case", "split_cjk"), SWITCH),
        "strip_accents": optional(SWITCH),
    }


@dataclass(frozen=True)
class BytePairVocabulary(Vocabulary):
    """RoBERTa's. merges, add_prefix_space: as for `BytePairs`.

    left_space: the tokens, special or added, that take the space before them along: RoBERTa was
    pre-trained with `<mask>` in place of a word and its space. trim_offsets: leave spaces out of
    the places of tokens, but for a single one in front of a text if it counts_as_put, that is, as
    the one of add_prefix_space; None: as add_prefix_space says.
    """

    _: KW_ONLY
    merges: Sequence[tuple[str, str]]
    add_prefix_space: bool = False
    trim_offsets: bool = True
    counts_as_put: bool | None = None
    left_space: Collection[str] = ("<mask>",)
    cls_token: str = "<s>"
    sep_token: str = "</s>"
    pad_token: str = "<pad>"
    unk_token: str = "<unk>"
    mask_token: str = "<mask>"
    separators: int = 2
    segments: int = 1
    tokenizer_class: str = "RobertaTokenizer"

    rules: ClassVar[Mapping[str, Rule]] = {
        **Vocabulary.rules,
        **dict.fromkeys(("add_prefix_space", "trim_offsets"), SWITCH),
        "counts_as_put": optional(SWITCH),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.counts_as_put is None:
            object.__setattr__(self, "counts_as_put", self.add_prefix_space)
        for rank, pair in enumerate(self.merges):
            for token in (*pair, "".join(pair)):
                if token not in self.ids:
                    raise ValueError(
                        f"its merge {rank} is {shown(' '.join(pair))}, and {shown(token)} is not "
                        "in the vocabulary; the two belong to different models"
                    )


@dataclass(frozen=True)
class UnigramVocabulary(Vocabulary):
    """That of XLM-R, CamemBERT and ALBERT.

    pipeline: the parts of a tokenizer.json that cut a text: normalizer, pre_tokenizer, model and
    decoder. rules_of_added: for each token that is matched whole, special ones included, what
    `tokenizers.AddedToken` takes. settings: those that tokenizer_config.json has beside them.
    """

    _: KW_ONLY
    pipeline: Mapping[str, Any]
    rules_of_added: Sequence[Mapping[str, Any]]
    settings: Mapping[str, bool] = field(default_factory=dict)
    cls_token: str = "<s>"
    sep_token: str = "</s>"
    pad_token: str = "<pad>"
    unk_token: str = "<unk>"
    mask_token: str = "<mask>"
    separators: int = 2
    segments: int = 1

    rules: ClassVar[Mapping[str, Rule]] = {
        **Vocabulary.rules,
        "pipeline": OBJECT,
        "settings": mapping_of(SWITCH),
    }


def check_ids(*tables: Mapping[str, int]) -> None:
    """Raise `ValueError` unless these tables together give each token one id and each id one token.

    A token may stand in several tables.
    """
    ids: dict[str, int] = {}
    tokens: dict[int, str] = {}
    for table in tables:
        for token, i in table.items():
            if not (TEXT.holds(token) and ID.holds(i)):  # the names cost more than the rules
                TEXT.check("a token", token)
                ID.check(f"the id of the token {shown(token)}", i)
            if ids.setdefault(token, i) != i:
                raise ValueError(
                    f"the token {shown(token)} has two ids, {ids[token]} and {i}; keep the right "
                    "one"
                )
            if tokens.setdefault(i, token) != token:
                raise ValueError(
                    f"the tokens {shown(tokens[i])} and {shown(token)} have the same id, {i}; each "
                    "needs its own"
                )
