"""Tables as people's programs write them: read where they are certain, or one line."""

import csv
import errno
import io
import random
import time
from pathlib import Path

import pytest

from minibert import data
from minibert.data import load, read_table

TEXTS = [
    "Oh, so good",
    'He said "no"',
    "a\tb",
    '"all of it"',
    "line\none",
    "naïve café",
    "it's; ok",
]
EXCEL = f'"{TEXTS[0]}"'
LABELS = ["good", "bad", "bad", "good", "bad", "good", "bad"]


def written(separator, **options):
    """A table as Python's csv module writes it, which is how pandas does."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, **options)
    writer.writerows([("text", "label"), *zip(TEXTS, LABELS, strict=True)])
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", written(",").encode()),
        ("semicolons.csv", written(";").encode()),
        ("tabs.csv", written("\t").encode()),
        ("pandas.tsv", written("\t", lineterminator="\n").encode()),
        ("windows.tsv", written("\t").encode()),
        ("commas.tsv", written(",").encode()),
        ("all-quoted.tsv", written("\t", quoting=csv.QUOTE_ALL).encode()),
        ("with a mark.csv", written(",").encode("utf-8-sig")),
        ("utf-16.tsv", written("\t").encode("utf-16")),
        ("excel's unicode text.csv", written("\t").encode("utf-16")),
        ("utf-32.csv", written(";").encode("utf-32")),
        ("old Macintosh's.csv", written(";").replace("\r\n", "\r").encode()),
        ("ends of all kinds.csv", written(",").replace("\r\n", "\r", 1).encode() + b"\n\r\n"),
        ("excel, which quotes commas.tsv", written("\t").replace(TEXTS[0], EXCEL).encode()),
        ("quoted by hand.tsv", written(",").replace("naïve café", '"naïve café"').encode()),
    ],
)
def test_what_programs_write_comes_back(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name)
    assert (table.texts, table.labels) == (TEXTS, LABELS)


@pytest.mark.parametrize("name", ["glue.tsv", "glue.csv"])
@pytest.mark.parametrize(
    "sentence", ['"Oh" she said', '"all of it"', '"', 'say "no', '""', '"a""', 'x "y" z"']
)
def test_quotation_marks_between_tabs_that_nobody_quoted_are_text(tmp_path, name, sentence):
    path = tmp_path / name
    path.write_text(f"sentence\tlabel\n{sentence}\t1\nplain\t0\n", encoding="utf-8")
    assert read_table(path).texts == [sentence, "plain"]


@pytest.mark.parametrize("texts", [['"I came', "I saw", 'I left"'], ['"', '"'], ['"a"', '"b"']])
def test_a_quotation_over_several_sentences_does_not_join_their_rows(tmp_path, texts):
    path = tmp_path / "glue.tsv"
    rows = [f"{text}\t{i}" for i, text in enumerate(texts)]
    path.write_text("\n".join(["sentence\tlabel", *rows]), encoding="utf-8")
    assert read_table(path).texts == texts


OF_EXCEL = """\
text\tlabel
"Oh, so good"\tgood
"He said ""no\"""\tbad
"a\nb"\tbad
it's; ok\tgood
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])  # "Unicode Text" is UTF-16
def test_commas_between_tabs_are_quoted_by_excel(tmp_path, encoding):
    path = tmp_path / "excel.tsv"
    path.write_bytes(OF_EXCEL.replace("\n", "\r\n").encode(encoding))
    assert read_table(path).texts == ["Oh, so good", 'He said "no"', "a\r\nb", "it's; ok"]
    commas = 'text\tlabel\n"Oh, so good"\tgood\nbad\tbad\n'
    path.write_bytes(commas.encode(encoding))
    assert read_table(path).texts[0] == "Oh, so good"
    path.write_bytes((commas + "never, quoted\tbad\n").encode(encoding))
    assert read_table(path).texts[0] == '"Oh, so good"', "so no program quoted commas here"


def test_marks_of_joined_files_are_no_part_of_a_name(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" * 2 + b"text,label\nx,1\n")
    assert read_table(tmp_path / "a.csv").texts == ["x"]


def test_many_labels_take_no_longer_to_split_than_few(tmp_path):
    """As a column of products or authors has."""
    rows = (f"text {n},{n // 2}" for n in range(40_000))
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    began = time.monotonic()
    train, development = load(tmp_path / "a.csv")
    assert len(train) == len(development) == 20_000
    assert time.monotonic() - began < 15  # one pass for each label took minutes


LINES = [
    ("a.csv", b"text,label\nna\xefve,1\n", r"line 2 is not UTF-8 \(byte 13, 0xef\)\. .*iconv -f"),
    ("a.tsv", "text\tlabel\nx\t1\n".encode("utf-16-le"), "line 1 has a NUL .* iconv -f utf-16le"),
    ("a.csv", b"text,label\nx,1\n\0,1\n", "line 3 has a NUL character"),
    ("a.csv", b"\xef\xbb\xbftext,label\nna\xefve,1\n", r"line 2 is not UTF-8 \(byte 13, 0xef\)"),
    ("a.csv", "text,label\nx,1\n".encode("utf-16")[:-1], "line 2 is not UTF-16: .* cut short"),
    ("a.csv", b"PK\x03\x04...", "it is an Excel or zip file, whatever its name; save it as CSV"),
    ("a.csv", b"\x1f\x8b...", "it is packed by gzip, whatever its name"),
    ("a.tsv", b"PAR1...", "it is a Parquet file, whatever its name"),
    ("a.csv", b"", "it has no rows"),
    ("a.csv", b"\n\n\n", "it has no rows"),
    ("a.csv", b"text,label\n", "it has no rows"),
    ("a.csv", b"x,1\ny,2\n", "it has the columns 'x', '1' and none for the text"),
    ("a.csv", b"text\nx\ny\n", "it has the columns 'text' and none for the label"),
    ("a.csv", b"text,label,text\nx,1,y\n", "it has two columns called text; rename"),
    ("a.csv", b"text,label,Label\nx,1,2\n", "it has two columns called label; rename"),
    ("a.csv", b"text,label\nx,1\ny\n", "line 3: 1 columns where the header has 2"),
    ("a.csv", b"text;label\nx;1\ny;2;3\n", "line 3: 3 columns where the header has 2"),
    ("a.csv", b'text,label\n"x,1\ny,2\n', "begins on line 2: a quotation mark .* never closed"),
    (
        "a.csv",
        b'text,label\nx,1\n"y"z,2\n',
        "line 3: .* inside a quoted .* doubled",
    ),
    ("a.csv", b"text,label\nx,1\n ,2\n", "line 3: the text is empty"),
    ("a.csv", b"text,label\nx,1\ny,\t\n", "line 3: the label is empty"),
    ("a.csv", b"text,label\nx,1\ntext,label\ny,2\n", "line 3 has the names of the columns again"),
    (
        "a.csv",
        b"text,label\nx,1\n\xef\xbb\xbfText,Label\ny,2\n",
        "line 3 has the names of the columns",
    ),
    ("a.csv", b"\x7fELF\0\n\xe9\x9c", "line 1 has a NUL character, so it is not text"),
    (
        "a.csv",
        b'text,label\n"say \\"no\\"",1\n',
        "line 2: a quotation mark inside .* must be doubled",
    ),
    ("a.csv.gz", b"\x1f\x8b", "is none of .tsv, .* rename, unpack or convert it"),
]


@pytest.mark.parametrize(("name", "content", "line"), LINES)
def test_other_tables_are_one_line_with_the_files_name(tmp_path, name, content, line):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=line) as caught:
        read_table(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name)) and "\n" not in message


def test_a_header_of_a_whole_text_is_quoted_in_part(tmp_path):
    (tmp_path / "a.csv").write_text("word " * 100_000 + "\nx\n", encoding="utf-8")
    with pytest.raises(ValueError, match="it has the columns") as caught:
        read_table(tmp_path / "a.csv")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("source", [None, 5, (), "", b"a.csv", "a\0.csv", ["a.csv"], "x" * 3000])
def test_what_names_no_table_is_one_line(source):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(source)
    message = str(caught.value)
    assert "data" in message and "\n" not in message and len(message) < 300


def test_tables_that_cannot_be_read_say_why(tmp_path, monkeypatch):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(FileNotFoundError, match=r"a\.csv has no folders.*; data can be 'sample'"):
        read_table(tmp_path / "a.csv")

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (tmp_path / "b.csv").touch()
    with pytest.raises(PermissionError, match=r"^/.*b\.csv cannot be read: Permission denied$"):
        read_table(tmp_path / "b.csv")


@pytest.mark.parametrize("seed", [None, -1, 1.5, "0", True, []])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed is .*; it must be a whole number"):
        load("sample", seed)


def test_zeros_and_ones_of_others_stay_as_they_are(tmp_path):
    """They need not mean that a film was good: only SST-2's are known."""
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("sentence\tlabel\nspam\t1\nham\t0\n", encoding="utf-8")
    for part in load(tmp_path):
        assert set(part.labels) == {"0", "1"}


def test_damaged_tables_are_read_or_refused(tmp_path, monkeypatch):
    """Whatever bytes are lost, added or changed. They are not written to the disk, for speed."""
    for name in ("a.csv", "a.tsv"):
        (tmp_path / name).touch()
    draw = random.Random(0)
    whole = written(",").encode(), written("\t").encode(), written(";").encode("utf-16")
    refused = 0
    for number in range(2000):
        content = bytearray(whole[number % 3])
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(content))
            content[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        path = tmp_path / ("a.csv" if draw.random() < 0.5 else "a.tsv")
        monkeypatch.setattr(Path, "read_bytes", lambda _, damaged=bytes(content): damaged)
        try:
            assert isinstance(read_table(path), data.LabelledTexts)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error), error
            assert len(str(error)) < 600
    assert 200 < refused < 2000
