"""What the reader of one kind of files hands on, before it is a `Vocabulary`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from minibert._checks import shown
from minibert.text.added import Added
from minibert.text.kind import TOKENIZER_CONFIG, Files


class Source(NamedTuple):
    """ids: not checked yet. added: the tokens that were added later. fields: the others of the
    vocabulary that the reader knows."""

    ids: dict[str, Any]
    added: list[Added]
    fields: dict[str, Any]

    def role(self, roles: Mapping[str, str], role: str) -> tuple[str, Any]:
        """The token of a role with its id. Raises `ValueError` if there is none."""
        token = roles[role]
        for added in self.added:
            if added.content == token:
                return token, added.id
        if token not in self.ids:
            raise ValueError(f"it has no token {shown(token)}, which is its {role}")
        return token, self.ids[token]


class Reader(Protocol):
    """Reads one kind of files.

    added: the tokens that tokenizer_config.json adds. roles: the tokens of `ROLES`. Raises
    `ValueError` for what is not as BERT or one of its variants has it.
    """

    def __call__(self, files: Files, added: list[Added], roles: Mapping[str, str]) -> Source: ...


def added_by_both(
    files: Files,
    own: list[Added],
    decoder: list[Added],
    ids: Mapping[str, Any],
    roles: Mapping[str, str],
) -> list[Added]:
    """The tokens that tokenizer.json adds, `own`, by the rules of tokenizer_config.json where that
    has them, too: `decoder`.

    Raises `ValueError` if they do not add the same, but for the tokens that have a role: on these
    either may be silent.
    """
    if "added_tokens_decoder" not in files.config:
        return own
    ours, theirs = ({token[:3] for token in tokens} for tokens in (own, decoder))
    for token, i, _ in sorted(ours ^ theirs):
        if not (token in roles.values() and i == ids.get(token)):
            raise ValueError(
                f"it and {TOKENIZER_CONFIG} beside it do not add the same tokens: one of them "
                f"lacks {shown(token)} with id {i}"
            )
    there, rules = {token.content for token in own}, {token.content: token for token in decoder}
    missing = [token for token in decoder if token.content not in there]
    return [rules.get(token.content, token) for token in own] + missing
