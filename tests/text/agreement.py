"""Whether (ours, Rust behind our class, transformers) make the same rows of texts."""

import copy
import functools

from minibert.text.vocabulary import ROLES
from minibert.tokenizer import Encoding


def check_row(three, text, pair=None, max_length=None):
    """Both our backends give the row that transformers gives, which is returned."""
    ours, rust, reference = three
    backend = reference.backend_tokenizer
    backend.no_padding()  # the public call of transformers leaves its settings behind
    backend.no_truncation()
    if max_length is not None:
        backend.enable_truncation(max_length)
    e = backend.encode(text, pair)
    tokens = [backend.id_to_token(i) for i in e.ids]  # e.tokens may have a space before <mask>
    theirs = Encoding(e.ids, tokens, e.type_ids, e.offsets, e.word_ids)
    both = text if pair is None else (text, pair)
    for mine in (ours, rust):
        what = (type(mine.backend).__name__, text, pair, max_length)
        assert mine.encode(text, pair, max_length) == theirs, what
        row = mine.encode_batch([both], max_length)[0]
        assert (row.ids, row.type_ids) == (theirs.ids, theirs.type_ids), what
    return theirs


def check_roles(three):
    """All three name the same tokens and ids for each role, and count the same tokens."""
    *both, theirs = three
    names = [name for role in ROLES for name in (role, f"{role}_id")]
    for mine in both:
        for name in (*names, "vocab_size"):
            assert getattr(mine, name) == getattr(theirs, name), name
        assert len(mine) == len(theirs)
        assert f"{len(theirs)} tokens" in repr(mine)


def check_decoding(three, ids):
    """Both our backends make the same text of ids as transformers does."""
    ours, rust, reference = three
    for skip in (False, True):
        theirs = reference.backend_tokenizer.decode(ids, skip_special_tokens=skip)
        for mine in (ours, rust):
            what = (type(mine.backend).__name__, ids, skip)
            assert mine.decode(ids, skip_special_tokens=skip) == theirs, what


def check_texts(three, texts, share=0):
    """Each text alone, and with the one after it, uncut or cut to between 30% and 100%.

    Decoding, which knows nothing of texts, is checked for every second one only.
    """
    ours, rust, reference = three
    three = (remembering(ours), remembering(rust), reference)
    for i, (text, pair) in enumerate(zip(texts, texts[1:] + texts[:1], strict=True)):
        row = check_row(three, text)
        if i % 2:
            check_decoding(three, row.ids)
        special = 2 + ours.vocabulary.separators
        length = special + sum(len(three[0].backend.pieces(part)) for part in (text, pair))
        percent = 30 + (share + 17 * i) % 100
        check_row(three, text, pair, max(special, length * percent // 100))


def remembering(original):
    """The same tokenizer, but no text is cut into pieces twice; that takes most of the time."""
    twin = copy.copy(original)
    backend = twin.backend = copy.copy(original.backend)
    backend.pieces = functools.cache(backend.pieces)
    ids = functools.cache(lambda text: type(backend).ids(backend, [text])[0])
    backend.ids = lambda texts: [ids(text) for text in texts]
    return twin
