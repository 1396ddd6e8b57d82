"""Files of tagged words: sentences, columns, and what is wrong by line."""

import pytest

from minibert.data.conll import read_conll

CONLL_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
U.S. NNP B-NP B-LOC

Peter NNP B-NP B-PER
# SYM O O
-DOCSTART- -X- -X- O
"""
SENTENCES = [["EU", "rejects", "U.S."], ["Peter", "#"]]
TAGS = [["B-ORG", "O", "B-LOC"], ["B-PER", "O"]]


def written(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "words.txt"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text, "utf-8"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8-sig"),
        (lambda text: text.replace(" ", "\t"), "utf-16"),
        (lambda text: text.replace(" ", "   ").rstrip("\n"), "utf-8"),
        (lambda text: text.replace("\n\n", "\n \t\n\n\n").replace(" ", "\t"), "utf-8"),
        (lambda text: "# id = 1\n" + text.replace(" ", "\t"), "utf-8"),
    ],
    ids=["as it is", "Windows", "tabs", "aligned", "more empty lines", "comments"],
)
def test_sentences_and_their_tags_are_read(tmp_path, change, encoding):
    found = read_conll(written(tmp_path, change(CONLL_2003), encoding))
    assert (found.words, found.tags) == (SENTENCES, TAGS)
    assert len(found) == 2


def test_columns_are_chosen_by_number(tmp_path):
    file = written(tmp_path, CONLL_2003)
    assert read_conll(file, tag=2).tags[0] == ["NNP", "VBZ", "NNP"]
    assert read_conll(file, word=2, tag=1).tags == SENTENCES


def test_a_word_may_hold_what_only_looks_like_the_end_of_a_line(tmp_path):
    found = read_conll(written(tmp_path, "New\u00a0York B-LOC\na\u2028b O\n"))
    assert found.words == [["New\u00a0York", "a\u2028b"]]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a O\nb\n", {}, r"words.txt: line 2 has 1 column\(s\), and line 1 has 2"),
        ("a\nb\n", {}, "line 1 has 1 column"),
        ("a\tO\n\t\tO\n", {}, r"line 2 has 3 column\(s\), and line 1 has 2"),
        ("a\tO\nb\t\n", {}, "line 2: the tag in column 2 is empty"),
        ("\n-DOCSTART- O\n", {}, "it has no words"),
        ("a O\n", {"tag": 3}, "line 1 has 2 columns and no column 3; set tag"),
        ("a O\n", {"word": 0}, "word is 0; it must be a whole number of at least 1"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(tmp_path, text, arguments, message):
    with pytest.raises(ValueError, match=message):
        read_conll(written(tmp_path, text), **arguments)


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_conll(tmp_path / "none.txt")
    with pytest.raises(OSError, match="cannot be read"):
        read_conll(tmp_path)
