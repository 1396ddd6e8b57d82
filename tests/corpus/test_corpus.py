"""The corpus holds the tokens of its texts, and says so when they are others."""

from dataclasses import replace

import numpy as np
import pytest

from minibert.corpus.store import Corpus
from minibert.corpus.text import TextFile, clean
from minibert.corpus.vocabulary import train_vocabulary
from minibert.tokenizer import Tokenizer, WordPieceTokenizer
from tests.conftest import ROOT
from tests.corpus.conftest import text_of
from tests.text.kinds import write_folder


def test_marks_of_wikitext_are_understood(tmp_path, tokenizer):
    path = tmp_path / "wiki.txt"
    path.write_text(
        " \n = The red cat = \n \n The @-@ cat . Tea 4 @,@ 5 ! \n Milk <unk> \n"
        " = = The dog = = \n The dog likes milk\n\n\n☃\nThe tea. ☃ The wine.\n",
        encoding="utf-8",
    )
    sentences = list(TextFile.at(path).sentences())
    assert sentences == [
        ("The-cat .", True),
        ("Tea 4,5 !", False),
        ("Milk [UNK]", False),
        ("The dog likes milk", True),
        ("☃", True),
        ("The tea.", False),
        ("☃ The wine.", False),
    ]
    assert clean("one @-@ two @.@ 5 @ 6") == "one-two.5 @ 6"
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    assert corpus.documents.tolist() == [0, 3, 4, 6] and corpus.several == 2
    assert tokenizer.decode(corpus.ids(3, 4)) == "the dog likes milk"
    assert tokenizer.decode(corpus.ids(4, 5)) == "the tea.", "what nobody can guess is left out"


def test_corpus_has_the_tokens_of_the_text(text, tokenizer, corpus):
    sentences = [sentence.text for sentence in TextFile.at(text).sentences()]
    assert corpus.number_of_sentences == len(sentences) == 960
    assert corpus.number_of_documents == 60 and corpus.tokens.dtype == np.uint16
    for number, sentence in enumerate(sentences):
        ids = corpus.ids(number, number + 1).tolist()
        assert ids == tokenizer.backend.ids([sentence])[0]
    words = tokenizer.decode(corpus.ids(0, 960)).replace(" .", "").replace(".", "").split()
    assert words == text.read_text().lower().replace(".", "").split()
    again = Corpus(corpus.folder)
    assert again.fingerprint == corpus.fingerprint
    again.check_made_from([TextFile.at(text)], tokenizer)


@pytest.mark.parametrize("name", ["RobertaTokenizer", "AlbertTokenizer"])
def test_any_tokenizer_gives_tokens_and_words_as_they_are_in_running_text(tmp_path, name):
    path = tmp_path / "a.txt"
    documents = ["Don't stop. A fine-grained <unk>!", "Unaffordable caf\u00e9s"]
    path.write_text("\n\n".join(documents), encoding="utf-8")
    tokenizer = Tokenizer.from_pretrained(write_folder(tmp_path / "files", name))
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    found = 0
    for number, document in enumerate(documents):
        row = tokenizer.encode(document)
        first, stop = corpus.documents[number : number + 2]
        places = corpus.places(first, stop)
        assert corpus.tokens[places.start : places.stop].tolist() == row.ids[1:-1]
        begins = np.diff(np.array(row.word_ids[1:-1]), prepend=-1) != 0
        assert corpus.words[places.start : places.stop].tolist() == begins.tolist()
        found += len(begins) - begins.sum()
    assert found, "some words have several pieces"


def test_a_damaged_corpus_is_refused(text, tokenizer, tmp_path):
    damaged = Corpus.build([TextFile.at(text)], tokenizer, tmp_path)
    content = bytearray((tmp_path / "tokens").read_bytes())
    content[100] ^= 1
    (tmp_path / "tokens").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged; delete it"):
        damaged.check_made_from([TextFile.at(text)], tokenizer)
    (tmp_path / "corpus.json").write_text('{"texts": []}')
    with pytest.raises(ValueError, match="corpus.json is damaged"):
        Corpus(tmp_path)


def test_cut_lines_lose_nothing(text, tokenizer, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("minibert.corpus.text.LINE", 50)
    cut = Corpus.build([TextFile.at(text)], tokenizer, tmp_path / "cut")
    letters = tokenizer.decode(cut.tokens.tolist()).replace(" ", "").replace("#", "")
    assert letters == "".join(text.read_text().lower().split()), "a letter more or less"


def test_large_vocabularies_have_larger_ids(text, tokenizer, tmp_path):
    ids = {**tokenizer.ids, **{f"zz{i}": 31_000 + i for i in range(35_099)}, "tea": 66_099}
    large = WordPieceTokenizer(replace(tokenizer.vocabulary, ids=ids))
    corpus = Corpus.build([TextFile.at(text)], large, tmp_path)
    assert corpus.tokens.dtype == np.uint32 and 66_099 in corpus.tokens


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.tsv", "sentence\tlabel\nthe cat\t1\nThe dog. The tea\t0\n"),
        ("no labels.csv", "text\nthe cat\nThe dog. The tea\n"),
        ("table.jsonl", '{"text": "the cat"}\n{"text": "The dog. The tea"}\n'),
    ],
)
def test_tables_give_a_document_a_row(tmp_path, tokenizer, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    assert corpus.documents.tolist() == [0, 1, 3]


def test_a_changed_file_is_refused(tmp_path, tokenizer):
    path = tmp_path / "a.txt"
    path.write_text(text_of(3), encoding="utf-8")
    before = TextFile.at(path)
    sentences = before.sentences()
    next(sentences)
    path.write_text(text_of(4), encoding="utf-8")
    with pytest.raises(ValueError, match="a.txt changed while it was in use"):
        list(sentences)
    with pytest.raises(ValueError, match="changed"):
        Corpus.build([before], tokenizer, tmp_path / "corpus")
    with pytest.raises(FileNotFoundError, match="no corpus"):
        Corpus(tmp_path / "corpus")
    corpus = Corpus.build([TextFile.at(path)], tokenizer, tmp_path / "corpus")
    path.write_text(text_of(5), encoding="utf-8")
    with pytest.raises(ValueError, match="other texts.*a.txt"):
        corpus.check_made_from([TextFile.at(path)], tokenizer)
    with open(tmp_path / "corpus" / "tokens", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="damaged"):
        Corpus(tmp_path / "corpus")


def test_the_same_text_gives_the_same_vocabulary():
    texts = [TextFile.at(ROOT / "README.md"), TextFile.at(ROOT / "LICENSE")]
    first, *others = (list(train_vocabulary(texts, 600).ids.items()) for _ in range(3))
    assert len(first) == 600 and all(other == first for other in others)
    assert train_vocabulary(texts, 600).size == 600, "ids without a gap"
