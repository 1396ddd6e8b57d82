"""The files a tokenizer writes say all that it knows."""

import pytest

from minibert.text.reading import read_vocabulary
from minibert.text.vocabulary import WordPieceVocabulary
from minibert.tokenizer import WordPieceTokenizer


@pytest.fixture()
def vocabulary():
    """Every setting differs from its default."""
    names = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    ids = {token: i for i, token in enumerate([*names, "na", "##ive"])}
    return WordPieceVocabulary(
        ids=ids,
        special={token: ids[token] for token in names} | {"[E1]": 7},
        lower_case=False,
        strip_accents=True,
        split_cjk=False,
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=77,
        added={"covid": 8},
    )


def test_what_is_written_reads_back_the_same(vocabulary, tmp_path):
    WordPieceTokenizer(vocabulary).save_pretrained(tmp_path / "new")
    assert read_vocabulary(tmp_path / "new", WordPieceVocabulary) == vocabulary


def test_a_vocabulary_that_cannot_be_written_leaves_no_half_of_it(vocabulary, tmp_path):
    tokenizer = WordPieceTokenizer(vocabulary, backend="python")
    vocabulary.added["covid"] = 9  # a gap: the next free id is 8
    with pytest.raises(ValueError, match="leaves a gap"):
        tokenizer.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
