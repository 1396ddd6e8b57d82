"""A vocabulary learned from texts, the same one each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from minibert.corpus.text import TextFile
from minibert.text.vocabulary import WordPieceVocabulary
from minibert.wordpiece import CONTINUATION

SMALLEST_VOCABULARY = 100
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_vocabulary(
    texts: Sequence[TextFile], size: int, lower_case: bool = True
) -> WordPieceVocabulary:
    """A WordPiece vocabulary of at most `size` tokens, learned by the `tokenizers` library.

    The same texts give the same vocabulary. Left alone, the library does not: it numbers the
    letters inside words in the order of a hash table, and breaks ties by these numbers. So they are
    given to it in order, as if they were special tokens, and the letters it may use are chosen
    here: as many as have room in half of the vocabulary, the most frequent ones.
    """
    from tokenizers import BertWordPieceTokenizer, normalizers, pre_tokenizers

    if size < SMALLEST_VOCABULARY:
        raise ValueError(
            f"the vocabulary is to have {size} tokens; give at least {SMALLEST_VOCABULARY}"
        )
    learner = BertWordPieceTokenizer(lowercase=lower_case)
    # While the library learns it locks its own parts, so the lines it asks for need others.
    normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    splitter = pre_tokenizers.BertPreTokenizer()

    def lines() -> Iterator[str]:
        for text in texts:
            for sentence in text.sentences():
                yield normalizer.normalize_str(sentence.text.replace("[UNK]", " "))

    words: Counter[str] = Counter()
    for line in lines():
        words.update(word for word, _ in splitter.pre_tokenize_str(line))
    letters: Counter[str] = Counter()  # by themselves, and after ## those inside of words
    for word, count in words.items():
        letters[word[0]] += count
        for letter in word[1:]:
            letters[CONTINUATION + letter] += count
    kept = sorted(letters, key=lambda letter: (-letters[letter], letter))[: size // 2]
    alphabet = {letter.removeprefix(CONTINUATION) for letter in kept}
    dropped = {
        ord(letter[-1]): " "
        for letter in letters
        if letter.removeprefix(CONTINUATION) not in alphabet
    }
    inside = sorted(letter for letter in letters if letter.startswith(CONTINUATION))
    inside = [letter for letter in inside if letter.removeprefix(CONTINUATION) in alphabet]
    learner.train_from_iterator(
        (line.translate(dropped) for line in lines()),
        vocab_size=size,
        min_frequency=2,
        limit_alphabet=len(alphabet) + 1,
        special_tokens=[*_SPECIAL, *inside],
        show_progress=False,
    )
    ids = learner.get_vocab()
    return WordPieceVocabulary(
        ids=dict(sorted(ids.items(), key=lambda item: item[1])),
        special={token: ids[token] for token in _SPECIAL},
        lower_case=lower_case,
    )
