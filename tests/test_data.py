"""Reading labelled texts, and the sample that comes with minibert."""

import csv

import pytest

from minibert import data
from minibert.data import load, read_table


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_tsv_takes_quotes_literally_and_csv_does_not(tmp_path):
    tsv = write(tmp_path / "a.tsv", 'sentence\tlabel\n"Oh" she said\t1\n')
    assert read_table(tsv).texts == ['"Oh" she said']
    csv = write(tmp_path / "a.csv", 'Label,Text\r\ngood,"one, ""two"""\r\n')
    assert read_table(csv) == data.LabelledTexts(['one, "two"'], ["good"])


def test_single_table_is_split_with_every_class_on_both_sides(tmp_path):
    rows = [f"text {i},{'abc'[i % 3]}" for i in range(60)]
    path = write(tmp_path / "a.csv", "\n".join(["text,label", *rows]))
    train, development = load(path)
    assert len(train) == 54 and len(development) == 6
    assert set(train.labels) == set(development.labels) == set("abc")
    assert not set(train.texts) & set(development.texts)
    assert load(path) == (train, development)
    assert load(path, seed=1) != (train, development)


def test_glue_folder(shared):
    train, development = load(shared / "SST-2")
    assert (len(train), len(development)) == (67349, 872)
    assert set(train.labels) == {"negative", "positive"}


def test_sample_is_as_its_readme_says():
    train, development = load("sample")
    assert 700 <= len(train) <= 900 and len(development) == 200
    for part in (train, development):
        share = part.labels.count("positive") / len(part)
        assert set(part.labels) == {"negative", "positive"} and 0.48 <= share <= 0.52
        assert all(3 <= len(text.split()) <= 40 for text in part.texts)
    every = [text.casefold() for text in (*train.texts, *development.texts)]
    assert len(set(every)) == len(every)


def test_sample_copies_nothing_from_sst2(shared):
    """No sentence of the sample, stripped to letters, stands in SST-2."""

    def letters(text):
        return "".join(c for c in text.casefold() if c.isalpha())

    theirs = {letters(t) for part in load(shared / "SST-2") for t in part.texts}
    ours = [t for part in load("sample") for t in part.texts if len(t.split()) > 3]
    assert not [text for text in ours if letters(text) in theirs]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "", "no rows"),
        ("a.tsv", "sentence\tlabel\n", "no rows"),
        ("a.tsv", "words\tlabel\nx\t1\n", "'words', 'label'.*text.*sentence"),
        ("a.tsv", "text\tstars\nx\t1\n", "'text', 'stars'.*label.*sentiment"),
        ("a.tsv", "text\tlabel\nx\n", "line 2: 1 columns"),
        ("a.tsv", "text\tlabel\nx\ty\n\t1\n", "line 3: the text is empty"),
        ("a.tsv", "text\tlabel\nx\t \n", "line 2: the label is empty"),
        (
            "a.csv",
            'text,label\ny,2\n"x,1\n',
            "line 3: a quotation mark in this row is never",
        ),
        ("a.txt", "text\tlabel\nx\t1\n", "is none of .tsv"),
    ],
)
def test_bad_tables_are_named_with_the_line(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert name in str(caught.value)


def test_a_text_may_be_long(tmp_path):
    limit = csv.field_size_limit()
    path = write(tmp_path / "a.csv", f"text,label\n{'long ' * 40_000},yes\n")
    assert len(read_table(path).texts[0]) == 199_999
    assert csv.field_size_limit() == limit, "others keep theirs"


def test_not_utf8_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nna\xefve,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        read_table(path)


def test_missing_file_says_what_data_takes(tmp_path):
    for source in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(FileNotFoundError, match="'sample'"):
            load(source)


def test_label_with_a_single_text_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,x\nb,x\nc,y\n")
    with pytest.raises(ValueError, match="'y'"):
        load(path)
