"""Reading labelled texts, and the sample that comes with minibert."""

import csv
import warnings

import pytest

from minibert import data
from minibert.data import LabelledTexts, Table, load, read_table, read_texts


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


# --- columns by name ------------------------------------------------------------------------------

TICKETS = "id;Body;Category;Note\n7;no refund;bill;re: bill\n8;it crashed;bug;again\n"


def test_columns_by_name(tmp_path):
    path = write(tmp_path / "a.csv", TICKETS)
    table = read_table(path, text="body", label="CATEGORY")
    assert table == LabelledTexts(["no refund", "it crashed"], ["bill", "bug"])
    pairs = [("no refund", "re: bill"), ("it crashed", "again")]
    assert read_table(path, text="Body", pair="Note") == LabelledTexts(pairs, ["bill", "bug"])
    assert read_texts(path, text="Body", pair="Note") == pairs
    assert Table.read(path).column("ID") == ["7", "8"]


def test_a_name_in_the_same_case_wins(tmp_path):
    path = write(tmp_path / "a.csv", "Body,body,label\nyes,no,x\n")
    assert read_texts(path, text="Body") == ["yes"] and read_texts(path, text="body") == ["no"]
    with pytest.raises(ValueError, match="two columns called 'BODY'; rename"):
        read_texts(path, text="BODY")


def test_a_usual_name_may_be_asked_for_in_another_role(tmp_path):
    path = write(tmp_path / "a.csv", "text,sentence,category,label\na,b,c,d\n")
    assert read_table(path, pair="text") == LabelledTexts([("b", "a")], ["d"])
    assert read_table(path, text="label") == LabelledTexts(["d"], ["c"])


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"text": "bdy"}, "no column 'bdy'; it has the columns 'id', 'Body', 'Category', 'Note'"),
        ({}, r"none for the text; call it one of text, .*, or give its name \(text=..., --text\)"),
        ({"text": "Body", "label": "Stars"}, "there is no column 'Stars'"),
        ({"text": "Body", "pair": ""}, "there is no column ''"),
        ({"text": "Body", "label": "body"}, "text='Body', label='body' name one column twice"),
        ({"text": ["Body"]}, r"text is \['Body'\]; give the name of a column, or its number"),
        ({"text": True}, "text is True; give the name of a column"),
        ({"text": 2, "label": "Category"}, "there is no column '2'"),
        ({"text": 9, "label": 3}, "there is no column '9'; .* 'column 3', 'column 4'"),
        ({"text": "Body", "skip_empty": "yes"}, "skip_empty is 'yes'"),
    ],
)
def test_a_column_that_is_not_there_tells_which_are(tmp_path, asked, line):
    path = write(tmp_path / "a.csv", TICKETS)
    with pytest.raises(ValueError, match=line) as caught:
        read_table(path, **asked)
    assert "\n" not in str(caught.value)


def test_many_columns_are_not_all_listed(tmp_path):
    path = write(tmp_path / "a.csv", ",".join(f"c{i}" for i in range(99)) + "\n" + "," * 98)
    with pytest.raises(ValueError, match="'c0', .*'c8' and 90 more and none for the text"):
        read_texts(path)


# --- rows that lack something ---------------------------------------------------------------------

GAPS = 'text,label\na,x\n,x\n" ",y\n"two\nlines",\nb,y\nc\n\nd,nan\nNA,None\n'


def test_every_gap_is_told_at_once(tmp_path):
    path = write(tmp_path / "a.csv", GAPS)
    with pytest.raises(ValueError) as caught:
        read_table(path)
    assert str(caught.value) == (
        f"{path}: line 8: 1 columns where the header has 2; lines 3 and 4: the text is empty; "
        "lines 5 and 10: the label is empty; 5 of 8 rows: complete them, or leave them out "
        "(skip_empty=True, --skip-empty)"
    )
    with pytest.warns(UserWarning, match="lines 5 and 10: .*; 5 of 8 rows are left out$"):
        rest = read_table(path, skip_empty=True)
    assert rest == LabelledTexts(["a", "b", "NA"], ["x", "y", "None"])


def test_many_gaps_are_counted(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n" + ",x\n" * 30 + "a,x\n")
    with pytest.raises(ValueError, match="lines 2, 3, 4, 5, 6 and 25 more: the text is empty; 30"):
        read_table(path)


def test_nothing_but_gaps_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n,x\ny,\n")
    with pytest.raises(ValueError, match="no row has text and label: line 2: the text is empty"):
        read_table(path, skip_empty=True)


def test_too_many_columns_are_no_gap(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na, b,x\n")
    with pytest.raises(ValueError, match="line 2: 3 columns where the header has 2"):
        read_table(path, skip_empty=True)


def test_labels_that_look_alike_are_told(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,Refund\nb, refund \nc,refund\nd,bug\n")
    with pytest.warns(UserWarning, match=r"classes: 'Refund' \(1\) and 'refund' \(2\)\. Write"):
        assert read_table(path).labels == ["Refund", "refund", "refund", "bug"]
    write(tmp_path / "train.csv", "text,label\na,New  York\n")
    write(tmp_path / "dev.csv", "text,label\na,new york\n")
    with pytest.warns(UserWarning, match="train.csv and .*dev.csv: labels that differ only"):
        load(tmp_path)


# --- separators, and files without a header -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "sep=;\nbody;kind\nx, y;1\n"),
        ("a.csv", '\ufeff"sep=\t"\r\nbody\tkind\r\nx, y\t1\r\n'),
        ("a.csv", "body;kind\nx, y;1\n"),
        ("a.csv", 'kind,body\n1,"x, y"\n'),
        ("a.tsv", "body, as written\tkind\tbody\n,\t1\tx, y\n"),
        ("a.csv", "a,b;body;kind\n,;x, y;1\n"),
        ("a.csv", ',body,kind\n0,"x, y",1\n'),
    ],
)
def test_the_separator_is_found_whatever_the_columns_are_called(tmp_path, name, content):
    path = write(tmp_path / name, content)
    assert read_table(path, text="body", label="kind") == LabelledTexts(["x, y"], ["1"])


def test_excels_first_line_counts_as_a_line(tmp_path):
    path = write(tmp_path / "a.csv", "sep=;\ntext;label\nx;\n")
    with pytest.raises(ValueError, match="line 3: the label is empty"):
        read_table(path)


COLA = 'gj04\t1\t\tThe "car" honked.\ngj04\t0\t*\tThey drank, the pub\nks08\t1\t\t"Oh!"\n'


@pytest.mark.parametrize("text, label", [(4, 2), ("4", "2")])
def test_columns_by_number_where_there_is_no_header(tmp_path, text, label):
    path = write(tmp_path / "train.tsv", COLA)
    write(tmp_path / "dev.tsv", COLA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = read_table(path, text=text, label=label)
    assert table.texts == ['The "car" honked.', "They drank, the pub", '"Oh!"']
    assert table.labels == ["1", "0", "1"]
    assert load(tmp_path, text=text, label=label) == (table, table)
    assert read_texts(path, text=text, pair=1)[0] == ('The "car" honked.', "gj04")


def test_text_with_many_semicolons_and_no_header(tmp_path):
    path = write(tmp_path / "a.csv", "a; b; c,1\nd,0\n")
    assert read_table(path, text=1, label=2) == LabelledTexts(["a; b; c", "d"], ["1", "0"])


def test_a_header_is_no_row(tmp_path):
    path = write(tmp_path / "a.tsv", "Text\tkind\na\tx\nb\tx\n")
    with pytest.raises(ValueError, match="first row has the names of its columns; give text='Text"):
        read_table(path, text=1, label=2)
    path = write(tmp_path / "a.tsv", "body\tkind\na\tx\nb\tx\n")
    with pytest.warns(UserWarning, match="no row but the first has the label 'kind'"):
        read_table(path, text=1, label=2)


def test_a_column_may_be_called_by_a_number(tmp_path):
    path = write(tmp_path / "a.csv", "0,1,2\n5,x,a\n6,y,b\n")
    assert read_table(path, text="1", label=2) == LabelledTexts(["x", "y"], ["a", "b"])


# --- folders --------------------------------------------------------------------------------------


def review(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, text)


def imdb(folder):
    for part, number in (("train", 2), ("test", 1)):
        for label in ("neg", "pos"):
            for i in range(number):
                review(folder / part / label / f"{i}_{label}.txt", f"{part} {label} {i}\n")
    review(folder / "train" / "labeledBow.feat", "1 0:9")
    return folder


def test_folders_as_imdb_has_them(tmp_path):
    train, test = load(imdb(tmp_path))
    assert train.texts == ["train neg 0", "train neg 1", "train pos 0", "train pos 1"]
    assert train.labels == ["neg", "neg", "pos", "pos"] and test.labels == ["neg", "pos"]
    review(tmp_path / "train" / "unsup" / "0_0.txt", "?")
    with pytest.warns(UserWarning, match="train: unsup is no label, so the texts in it are left"):
        assert load(tmp_path) == (train, test)


def test_one_folder_with_a_folder_for_each_label(tmp_path):
    folder = imdb(tmp_path) / "train"
    train, held_out = load(folder)
    assert sorted(train.labels) == sorted(held_out.labels) == ["neg", "pos"]
    assert read_texts(folder)[0] == "train neg 0"


def test_folders_name_the_file(tmp_path):
    folder = imdb(tmp_path) / "train"
    write(folder / "pos" / "0_pos.txt", " \n")
    with pytest.raises(ValueError, match="train: file pos/0_pos.txt: the text is empty; 1 of 4"):
        load(tmp_path)
    (folder / "pos" / "0_pos.txt").write_bytes(b"na\xefve")
    with pytest.raises(ValueError, match=r"0_pos\.txt: line 1 is not UTF-8"):
        load(tmp_path)
    (folder / "pos" / "0_pos.txt").rename(folder / "pos" / "0_pos.md")
    with pytest.warns(UserWarning, match="1 entries of its folders are no .txt files"):
        load(tmp_path)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="the folder 'empty' has no .txt files; take it out"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["dev.csv", "validation.jsonl", "val.tsv", "test.json"])
def test_a_folder_of_two_tables_of_any_kind(tmp_path, name):
    content = '{"body": "a", "label": "x"}' if ".j" in name else "id\tbody\tlabel\n1\ta\tx\n"
    write(tmp_path / "train.csv", "body,label\nb,y\n")
    write(tmp_path / name, content)
    write(tmp_path / "test.csv" if "test" not in name else tmp_path / "other.csv", "body\nc\n")
    parts = load(tmp_path, text="body")
    assert parts == (LabelledTexts(["b"], ["y"]), LabelledTexts(["a"], ["x"]))


def test_mnli_is_judged_by_its_matched_part(tmp_path):
    row = "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\t{}\tb\tneutral\tneutral\n"
    for name in ("train", "dev_matched", "dev_mismatched"):
        write(tmp_path / f"{name}.tsv", row.format(name))
    names = {"text": "sentence1", "pair": "sentence2", "label": "gold_label"}
    _, development = load(tmp_path, **names)
    assert development == LabelledTexts([("dev_matched", "b")], ["neutral"])


@pytest.mark.parametrize(
    ("names", "error", "line"),
    [
        (["train.csv"], FileNotFoundError, "has train.csv and no dev beside it; data can be"),
        (["dev.csv"], FileNotFoundError, "has dev.csv and no train beside it; data can be"),
        (["train.csv", "train.tsv", "dev.csv"], ValueError, "has train.tsv and train.csv; keep"),
    ],
)
def test_a_folder_with_a_part_missing_or_twice(tmp_path, names, error, line):
    for name in names:
        write(tmp_path / name, "text,label\na,b\n")
    with pytest.raises(error, match=line):
        load(tmp_path)


# --- what is held out -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [[f"{i / 4}" for i in range(40)], ['["a"]'] * 20 + ['["b", "a"]', "[]"] * 10]
)
def test_what_is_no_class_is_held_out_at_random(tmp_path, labels):
    rows = (f'{{"text": "text {i}", "label": {label}}}' for i, label in enumerate(labels))
    path = write(tmp_path / "a.jsonl", "\n".join(rows))
    train, development = load(path)
    assert (len(train), len(development)) == (36, 4)
    assert not set(train.texts) & set(development.texts)


@pytest.mark.parametrize("copies", [1, 2])
def test_texts_that_are_learned_and_judged_are_told(tmp_path, copies):
    rows = [f"text {i},{'ab'[i % 2]}" for i in range(40)] * copies
    path = write(tmp_path / "a.csv", "\n".join(["text,label", *rows]))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        train, development = load(path)
    shared = len([text for text in development.texts if text in train.texts])
    assert len(told) == bool(shared) == copies - 1
    if shared:
        assert f"{shared} of 8 development texts are among the training texts" in str(told[0])
