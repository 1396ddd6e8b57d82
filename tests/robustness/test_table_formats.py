"""Tables as other libraries write them, each against that library's own reading."""

import csv
import gzip
import json
import sys
import warnings

import pytest

from minibert.data import LabelledTexts, Table, choose, load, read_table, read_texts
from minibert.tasks.label_values import checked_labels
from minibert.text.inputs import listed

pandas = pytest.importorskip("pandas", reason="compares with pandas")

BODIES = ['He said "no", twice', "two\nlines", "a;b\tc", "naïve café", '"all of it"', "NA", "None"]
CATEGORIES = ["bug", "bill", "bug", "other", "bill", "bug", "None"]
COLUMNS = {"text": "body", "label": "category"}


@pytest.fixture(scope="module")
def tickets():
    rows = {"id": range(7), "body": BODIES, "category": CATEGORIES}
    return pandas.DataFrame(rows, index=range(10, 17))


def with_gaps(tickets):
    """Rows 1 and 4 have no text, row 4 and 5 no label."""
    table = tickets.copy()
    table.loc[[11, 14], "body"] = None
    table.loc[[14, 15], "category"] = None
    return table


CSV = [
    ("index.csv", {}),
    ("plain.csv", {"index": False}),
    ("semicolons.csv", {"index": False, "sep": ";"}),
    ("tabs.csv", {"index": False, "sep": "\t"}),
    ("tabs.tsv", {"sep": "\t"}),
    ("all.csv", {"quoting": csv.QUOTE_ALL}),
    ("all.tsv", {"sep": "\t", "quoting": csv.QUOTE_ALL}),
    ("names.csv", {"quoting": csv.QUOTE_NONNUMERIC, "sep": ";"}),
    ("windows.csv", {"lineterminator": "\r\n", "encoding": "utf-8-sig"}),
    ("excel.csv", {"sep": "\t", "encoding": "utf-16"}),
]


@pytest.mark.parametrize(("name", "options"), CSV)
def test_csv_of_pandas_is_read_as_pandas_reads_it(tmp_path, tickets, name, options):
    path = tmp_path / name
    tickets.to_csv(path, **options)
    reading = {key: options[key] for key in ("sep", "encoding") if key in options}
    theirs = pandas.read_csv(path, keep_default_na=False, **reading)
    table = read_table(path, **COLUMNS)
    assert table.texts == theirs["body"].tolist() == BODIES
    assert table.labels == theirs["category"].tolist() == CATEGORIES
    assert Table.read(path).column("ID") == [str(number) for number in range(7)]


WRITERS = {
    "t.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "t.ndjson": lambda table, path: table.to_json(path, orient="records", lines=True),
    "lines.json": lambda table, path: table.to_json(path, orient="records", lines=True),
    "list.json": lambda table, path: table.to_json(path, orient="records", indent=2),
    "t.parquet": lambda table, path: table.to_parquet(path),
    "t.csv": lambda table, path: table.to_csv(path),
    "as strings.csv": lambda table, path: table.assign(
        category=table["category"].astype(object).map(str).replace("None", "nan")
    ).to_csv(path),
}


def written(table, path):
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="writes Parquet")
    WRITERS[path.name](table, path)
    return path


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "as strings.csv"])
def test_every_format_gives_the_same(tmp_path, tickets, name):
    path = written(tickets, tmp_path / name)
    assert read_table(path, **COLUMNS) == LabelledTexts(BODIES, CATEGORIES)
    assert read_texts(path, text="body", pair="category") == list(
        zip(BODIES, CATEGORIES, strict=True)
    )


@pytest.mark.parametrize("name", WRITERS)
def test_missing_values_are_named_or_left_out(tmp_path, tickets, name):
    table = with_gaps(tickets).iloc[:6]
    path = written(table, tmp_path / name)
    with pytest.raises(ValueError, match="the text is empty.*the label is empty") as caught:
        read_table(path, **COLUMNS)
    first = {".csv": "lines 3 and", ".parquet": "rows 1 and 4 (from 0)"}.get(path.suffix)
    first = first or ("rows 1 and 4 (from 0)" if name == "list.json" else "lines 2 and 5")
    assert f"{path}: {first}" in str(caught.value)
    assert "3 of 6 rows: complete them, or leave them out (skip_empty=True" in str(caught.value)
    with pytest.warns(UserWarning, match="3 of 6 rows are left out"):
        rest = read_table(path, **COLUMNS, skip_empty=True)
    theirs = table.dropna()
    assert rest == LabelledTexts(theirs["body"].tolist(), theirs["category"].tolist())


def test_rows_keep_their_other_columns(tmp_path, tickets):
    path = written(with_gaps(tickets), tmp_path / "t.csv")
    with pytest.warns(UserWarning, match="2 of 7 rows are left out"):
        chosen = choose(Table.read(path), text="body", labelled=False, skip_empty=True)
    assert chosen.table.column("id") == ["0", "2", "3", "5", "6"] and chosen.labels == []
    assert chosen.texts == [BODIES[int(number)] for number in chosen.table.column("id")]


# --- in memory ------------------------------------------------------------------------------------


def frames(tickets):
    yield tickets
    yield tickets.astype({"body": "string", "category": "category"})
    pyarrow = pytest.importorskip("pyarrow", reason="reads its tables")
    yield pyarrow.Table.from_pandas(tickets)
    datasets = pytest.importorskip("datasets", reason="reads its tables")
    yield datasets.Dataset.from_pandas(tickets)
    yield datasets.Dataset.from_pandas(tickets).with_format("numpy")


def test_frames_are_tables(tickets):
    for frame in frames(tickets):
        chosen = choose(Table.of(frame), **COLUMNS)
        assert (chosen.texts, chosen.labels) == (BODIES, CATEGORIES), type(frame)
        parts = load({"train": frame, "test": frame}, **COLUMNS)
        assert parts == (LabelledTexts(BODIES, CATEGORIES),) * 2


def test_missing_values_of_frames(tickets):
    for frame in frames(with_gaps(tickets)):
        with pytest.raises(ValueError, match=r"^the \w+: rows 1 and 4 \(from 0\): the text is"):
            load(frame, **COLUMNS)
        with pytest.warns(UserWarning, match="3 of 7 rows are left out"):
            chosen = choose(Table.of(frame), **COLUMNS, skip_empty=True)
        assert chosen.texts == [BODIES[i] for i in (0, 2, 3, 6)]


def test_columns_are_texts_and_labels_as_they_are(tickets):
    for frame in frames(tickets):
        if hasattr(frame, "schema"):  # pyarrow's own, whose items are no Python strings
            continue
        assert listed(frame["body"]) == BODIES
        assert checked_labels(frame["category"], "labels") == CATEGORIES


@pytest.mark.filterwarnings("ignore:.*5 of 5 development texts are among:UserWarning")
def test_a_frame_is_split_as_its_csv_is(tmp_path, tickets):
    many = pandas.concat([tickets] * 6)
    many.to_csv(tmp_path / "t.csv")
    assert load(many, 3, **COLUMNS) == load(tmp_path / "t.csv", 3, **COLUMNS)


@pytest.mark.parametrize("source", [{}, {"train": [1]}, {"text": ["a"], "label": ["b"]}])
def test_a_mapping_without_tables_is_one_line(source):
    with pytest.raises(ValueError, match="the data is a dict without a table 'train'"):
        load(source)


def test_two_columns_of_a_name(tickets):
    twice = pandas.concat([tickets, tickets], axis=1)
    with pytest.raises(ValueError, match="the DataFrame: it has two columns called 'id'"):
        load(twice, **COLUMNS)


# --- JSON -----------------------------------------------------------------------------------------


def test_labels_of_json_are_strings_or_lists_of_them(tmp_path):
    labels = ["a", 1, True, 0.5, ["a", "b"], [], [2]]
    path = tmp_path / "a.jsonl"
    path.write_text(
        "\n\n".join(json.dumps({"text": "x\u2028y", "label": label}) for label in labels) + "\n"
    )
    table = read_table(path)
    assert table.labels == ["a", "1", "True", "0.5", ["a", "b"], [], ["2"]]
    assert set(table.texts) == {"x\u2028y"}


JSON = [
    ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": "c" "label": "d"}', "line 2: .* column 14"),
    ("a.jsonl", '{"text": "a", "label": "b"}\n["c", "d"]', "line 2 is .* each row is an object"),
    ("a.jsonl", '{"text": 5, "label": "b"}', "line 1: the text is 5, a int; it must be a string"),
    ("a.jsonl", '{"text": ["a"], "label": "b"}', r"line 1: the text is \['a'\]"),
    ("a.jsonl", '{"text": "a", "label": {"b": 1}}', "line 1: the label is .* a dict; it must be"),
    ("a.jsonl", '{"text": "a", "label": ["b", null]}', "line 1: the label is None"),
    ("a.jsonl", '{"text": "a", "label": ["b", ""]}', r"line 1: the label is \['b', ''\]"),
    ("a.jsonl", '{"text": "a", "label": 1e999}', "line 1: it holds 1e999"),
    ("a.jsonl", '{"text": "a"}\n{"label": "b"}', "line 2: the text is empty; line 1: the label is"),
    ("a.jsonl", "", "it has no rows"),
    ("a.json", "[]", "it has no rows"),
    ("a.json", '[{"text": "a"}, 5]', "row 1 is 5"),
    ("a.json", '[{"text": "a"}', "it is not valid JSON"),
    ("a.json", '{"text": {"0": "a"}, "label": {"0": "b"}}', "line 1: the text is .* a dict"),
    ("a.json", "[" * 1000 + "]" * 1000, "more than 100 levels"),
    ("a.jsonl", "\n".join(f'{{"{n}": 1}}' for n in range(1001)), "1001 different keys"),
]


@pytest.mark.parametrize(("name", "content", "line"), JSON)
def test_other_json_is_one_line(tmp_path, name, content, line):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError, match=line) as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 500


# --- Parquet --------------------------------------------------------------------------------------


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pyarrow: pip install -e '\.\[tables\]'"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize("keep", [0, 4, 100, -9, -1])
def test_a_damaged_parquet_file_is_one_line(tmp_path, tickets, keep):
    path = written(tickets, tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="it cannot be read as Parquet") as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_packed_table_is_refused(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\na,b\n"))
    with pytest.raises(ValueError, match="rename, unpack or convert"):
        read_table(tmp_path / "a.csv.gz")


def test_nothing_is_said_of_a_good_table(tmp_path, tickets):
    path = written(tickets, tmp_path / "t.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table(path, **COLUMNS, skip_empty=True)
