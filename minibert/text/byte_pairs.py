"""Byte-level BPE: RoBERTa's tokenizer, to which no word of any script is unknown.

    "Hello wörld"  ->  Hello | Ġw Ã¶ rld          (Ġ is a space, Ã¶ the two bytes of ö)

Byte pair encoding (BPE) begins with single symbols and merges two neighbours again and again, in
the order in which the merges were learned: the most frequent pair of the training texts came first.
WordPiece, in contrast, takes the longest piece that its vocabulary has, and needs no order. The
symbols here are bytes: 256 of them spell any text, so no [UNK] is needed, and no cleaning,
lower-casing or splitting of CJK either. A space belongs to the word after it, so a word in the
middle of a text is another token than the same word at its beginning.

Papers: Sennrich et al. 2016, arXiv 1508.07909, for byte pair encoding; Radford et al. 2019,
*Language Models are Unsupervised Multitask Learners*, section 2.2, for bytes; Liu et al. 2019,
arXiv 1907.11692 (RoBERTa), section 4.4. Reference: openai/gpt-2, src/encoder.py; where the Rust
library `tokenizers` differs from it, this follows Rust, whose ids transformers uses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Sequence
from heapq import heapify, heappop, heappush

from minibert.text.characters import SHAPES
from minibert.wordpiece import Character, Piece

# GPT-2's words: an ending such as 's; letters, digits or other signs, with the space before them if
# there is one; and other spaces, except the one that belongs to the next word. It is matched on the
# shape of a text, where every letter is an ASCII letter, every digit an ASCII digit, and so on.
WORDS = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII
)

# A letter for each byte, so that pieces can be written down: a byte that Latin-1 prints is that
# character, and the others take the letters from U+0100 on. The space becomes Ġ.
_PRINTING = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_OTHERS = [byte for byte in range(256) if byte not in _PRINTING]
LETTERS = [chr(b if b in _PRINTING else 256 + _OTHERS.index(b)) for b in range(256)]
BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}
SPACE = LETTERS[ord(" ")]


class BytePairs:
    """The algorithm for one vocabulary.

    vocabulary: anything that can say whether it contains a token. merges: the pairs to merge, in
    the order in which they were learned. add_prefix_space: put a space before a text that does not
    begin with one, so that its first word gets the tokens that it has elsewhere.

    >>> from minibert.text.byte_pairs import BytePairs
    >>> merges = [("Ġ", "l"), ("o", "w"), ("Ġl", "ow"), ("e", "s")]
    >>> small = BytePairs({*"Ġlowest", "Ġl", "ow", "Ġlow", "es"}, merges)
    >>> [piece.token for piece in small.pieces("low lowest")]
    ['l', 'ow', 'Ġlow', 'es', 't']
    """

    def __init__(
        self,
        vocabulary: Container[str],
        merges: Sequence[tuple[str, str]],
        *,
        add_prefix_space: bool = False,
    ) -> None:
        self.vocabulary = vocabulary
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.add_prefix_space = add_prefix_space

    def pieces(self, text: str, first_word: int = 0) -> list[Piece]:
        """All pieces of a text, in order; its words are numbered from `first_word`.

        The place of a piece that holds only some of a character's bytes is the whole character.
        """
        characters = [Character(value, i) for i, value in enumerate(text)]
        if self.add_prefix_space and text and text[0] != " ":
            characters.insert(0, Character(" ", 0))
        text = "".join(character.value for character in characters)
        pieces = []
        for number, word in enumerate(WORDS.finditer(text.translate(SHAPES)), first_word):
            pieces += self.split_word(characters[word.start() : word.end()], number)
        return pieces

    def split_word(self, word: Sequence[Character], number: int) -> list[Piece]:
        """The bytes of a word, merged.

        A byte that the vocabulary lacks is left out, as the Rust library does. Most vocabularies
        have all 256.
        """
        spelled = [(LETTERS[byte], c.source) for c in word for byte in c.value.encode()]
        spelled = [(letter, source) for letter, source in spelled if letter in self.vocabulary]
        pieces, start = [], 0
        for token in self.merge([letter for letter, _ in spelled]):
            end = start + len(token)
            pieces.append(Piece(token, spelled[start][1], spelled[end - 1][1] + 1, number))
            start = end
        return pieces

    def merge(self, symbols: list[str]) -> list[str]:
        """Merge the pair that was learned first, where it first stands, until there is none left.

        >>> from minibert.text.byte_pairs import BytePairs
        >>> BytePairs("", [("a", "b"), ("c", "ab")]).merge(["a", "b", "c", "a", "b"])
        ['ab', 'cab']
        """
        # A heap has the pairs of all places, so a word of any length takes no pass for each merge.
        end = len(symbols)
        symbols = [*symbols, ""]  # no pair has an empty symbol, so none reaches past the ends
        before, after = [*range(-1, end)], [*range(1, end + 1), end]  # the neighbours of each

        def ranked(left: int) -> tuple[float, int]:
            return self.ranks.get((symbols[left], symbols[after[left]]), math.inf), left

        waiting = [pair for pair in map(ranked, range(end)) if pair[0] < math.inf]
        heapify(waiting)
        while waiting:
            pair = heappop(waiting)
            left = pair[1]
            if ranked(left) != pair:
                continue  # one of the two was merged with another since
            right = after[left]
            symbols[left], symbols[right] = symbols[left] + symbols[right], ""
            after[left] = after[right]
            before[after[left]] = left
            for pair in map(ranked, (before[left], left)):
                if pair[0] < math.inf:
                    heappush(waiting, pair)
        return [symbol for symbol in symbols if symbol]


def join(tokens: Sequence[str]) -> str:
    """Tokens -> text. Bytes that are not UTF-8 become U+FFFD; special tokens stay as they are.

    >>> from minibert.text.byte_pairs import join
    >>> join(["<s>", "Hello", "Ġw", "Ã¶", "rld"])
    '<s>Hello wörld'
    """
    spelled = (
        bytes(BYTES[letter] for letter in token) if BYTES.keys() >= set(token) else token.encode()
        for token in tokens
    )
    return b"".join(spelled).decode("utf-8", errors="replace")
