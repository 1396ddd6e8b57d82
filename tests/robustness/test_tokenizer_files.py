"""Files of a tokenizer that somebody else wrote: read right, or refused in one line."""

import json

import pytest
import transformers

from minibert.text.reading import read_vocabulary
from minibert.text.vocabulary import WordPieceVocabulary
from minibert.tokenizer import WordPieceTokenizer

ROLES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = [*ROLES, "hello", "na", "##ive", "##s", "co", "##vid", "日", "a", "b", "c", "!"]
PLAIN = {"lstrip": False, "rstrip": False, "single_word": False}
TEXTS = ["Hello NAÏVE [SEP] [E1] covids Covid", "日本語 x", "", "hellos!! [mask] [MASK]", "naïve"]


def special(content, i):
    return {"id": i, "content": content, "special": True, "normalized": False, **PLAIN}


def word(content, i):
    return {"id": i, "content": content, "special": False, "normalized": True, **PLAIN}


def frame(*steps):
    """Steps of a post-processor: (the name of a token or a text, its segment)."""
    kinds = {True: "Sequence", False: "SpecialToken"}
    return [{kinds[len(name) == 1]: {"id": name, "type_id": segment}} for name, segment in steps]


SINGLE = [("[CLS]", 0), ("A", 0), ("[SEP]", 0)]


def tokenizer_json():
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(token, i) for i, token in enumerate(ROLES)],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": frame(*SINGLE),
            "pair": frame(*SINGLE, ("B", 1), ("[SEP]", 1)),
            "special_tokens": {
                token: {"id": token, "ids": [TOKENS.index(token)], "tokens": [token]}
                for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: i for i, token in enumerate(TOKENS)},
        },
    }


def tokenizer_config():
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": 512,
        **dict(
            zip(
                ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"),
                ROLES,
                strict=True,
            )
        ),
    }


class Folder:
    """A model folder with the files of a tokenizer, to be changed one at a time."""

    def __init__(self, path):
        self.path = path
        self.put("config.json", {"model_type": "bert", "vocab_size": 100})
        self.put("tokenizer.json", tokenizer_json())
        self.put("tokenizer_config.json", tokenizer_config())

    def put(self, name, data):
        """Write a file: bytes as they are, anything else as JSON."""
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        (self.path / name).write_bytes(data)
        return self

    def change(self, name, *keys, to):
        """Replace a value, however deep; or take it out, if it is to be `...`."""
        data = inner = json.loads((self.path / name).read_text())
        for key in keys[:-1]:
            inner = inner[key]
        if to is ...:
            del inner[keys[-1]]
        elif isinstance(inner, list) and keys[-1] == len(inner):
            inner.append(to)
        else:
            inner[keys[-1]] = to
        return self.put(name, data)

    def without_json(self):
        """Only vocab.txt and tokenizer_config.json, as old tokenizers left it."""
        (self.path / "tokenizer.json").unlink()
        return self.put("vocab.txt", ("\n".join(TOKENS) + "\n").encode())

    def ids(self, backend="python"):
        tokenizer = WordPieceTokenizer.from_pretrained(self.path, backend=backend)
        return [row.ids for row in tokenizer.encode_batch([*TEXTS, ("a", "b c")])]

    def ids_of_transformers(self):
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.path)
        return [tokenizer(text)["input_ids"] for text in TEXTS] + [
            tokenizer("a", "b c")["input_ids"]
        ]

    def line(self):
        """The one line in which both backends refuse the folder."""
        lines = set()
        for backend in ("python", "rust"):
            with pytest.raises(ValueError) as caught:
                WordPieceTokenizer.from_pretrained(self.path, backend=backend)
            lines.add(str(caught.value))
        (line,) = lines
        assert "\n" not in line and len(line.replace(str(self.path), "")) < 500, line
        return line


@pytest.fixture()
def folder(tmp_path):
    return Folder(tmp_path)


def test_the_folder_is_read_as_by_transformers(folder):
    assert folder.ids("python") == folder.ids("rust") == folder.ids_of_transformers()
    folder.without_json()
    assert folder.ids("python") == folder.ids("rust") == folder.ids_of_transformers()


# --- tokenizers of another kind ------------------------------------------------------------------

FOREIGN = {
    "tokenizer_class": ["BertJapaneseTokenizer", "RobertaTokenizerFast", "MPNetTokenizer", "Mine"],
    "auto_map": [{"AutoTokenizer": ["mine.Mine", None]}, ["mine.Mine", None], "mine.Mine"],
    "word_tokenizer_type": ["mecab", "sudachi", 5],
    "subword_tokenizer_type": ["character", "sentencepiece", []],
    "do_word_tokenize": [False, "true"],
    "do_subword_tokenize": [False, 1],
    "do_basic_tokenize": [False],
    "never_split": [["hello"], "hello", [5]],
    "clean_text": [False],
    "split_special_tokens": [True],
    "wordpieces_prefix": ["", "@@"],
}
HARMLESS = {
    "tokenizer_class": [
        None,
        "BertTokenizer",
        "BertTokenizerFast",
        "PreTrainedTokenizer",
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
        "DistilBertTokenizer",
        "DistilBertTokenizerFast",
        "ElectraTokenizer",
        "ElectraTokenizerFast",
        "MobileBertTokenizerFast",
    ],
    "auto_map": [{"AutoModel": "mine.Mine"}, {"AutoTokenizer": [None, None]}],
    "word_tokenizer_type": ["basic", None],
    "subword_tokenizer_type": ["wordpiece"],
    "do_word_tokenize": [True],
    "never_split": [None, [], ["[UNK]"]],
    "clean_text": [True],
    "split_special_tokens": [False],
    "wordpieces_prefix": ["##"],
}


def cases(table):
    return [(key, value) for key, values in table.items() for value in values]


@pytest.mark.parametrize(("key", "value"), cases(FOREIGN))
@pytest.mark.parametrize("json_file", [True, False])
def test_a_tokenizer_of_another_kind_is_refused_by_name(folder, key, value, json_file):
    folder.change("tokenizer_config.json", key, to=value)
    if not json_file:
        folder.without_json()
    assert f"tokenizer_config.json: {key}" in folder.line()


def test_the_next_step_is_said(folder):
    folder.change("tokenizer_config.json", "word_tokenizer_type", to="mecab")
    assert folder.line().endswith(
        "word_tokenizer_type is 'mecab'; it must be null or 'basic': minibert has the tokenizers "
        "of BERT and its variants only; use transformers.AutoTokenizer for this model"
    )


@pytest.mark.parametrize(("key", "value"), cases(HARMLESS))
def test_harmless_names_pass_and_are_read_as_by_transformers(folder, key, value):
    folder.change("tokenizer_config.json", key, to=value)
    assert folder.ids("python") == folder.ids("rust")
    if key != "auto_map":  # whose code transformers asks about
        assert folder.ids() == folder.ids_of_transformers()


def test_the_class_may_stand_in_the_config_of_the_model(folder):
    folder.change("tokenizer_config.json", "tokenizer_class", to=...)
    folder.change("config.json", "tokenizer_class", to="BertJapaneseTokenizer")
    assert "/config.json: tokenizer_class is 'BertJapaneseTokenizer'" in folder.line()
    folder.change("config.json", "tokenizer_class", to="BertTokenizer")
    assert folder.ids()


def test_the_other_end_of_long_texts_is_said(folder):
    folder.change("tokenizer_config.json", "truncation_side", to="left")
    with pytest.warns(UserWarning, match="truncation_side 'left', and minibert cuts .* end"):
        folder.ids()


@pytest.mark.parametrize("name", ["BertTokenizer", "PreTrainedTokenizerFast"])
@pytest.mark.parametrize("key", ["do_lower_case", "tokenize_chinese_chars", "strip_accents"])
def test_where_two_files_disagree_the_one_that_transformers_follows_decides(folder, name, key):
    folder.change("tokenizer_config.json", "tokenizer_class", to=name)
    folder.change("tokenizer_config.json", key, to=False)
    with pytest.warns(UserWarning, match=f"disagree: {key} is False in the latter"):
        ours = folder.ids()
    assert ours == folder.ids_of_transformers()


def test_where_transformers_would_take_another_setting_it_is_said(folder):
    folder.change("tokenizer.json", "normalizer", "lowercase", to=False)
    folder.change("tokenizer_config.json", "do_lower_case", to=...)
    with pytest.warns(UserWarning, match='put {"do_lower_case": false} into tokenizer_config'):
        ours = folder.ids()
    assert ours != folder.ids_of_transformers()
    folder.change("tokenizer_config.json", "do_lower_case", to=False)
    assert ours == folder.ids() == folder.ids_of_transformers()


OTHER_FRAMES = {
    "none": None,
    "without [CLS]": {
        **tokenizer_json()["post_processor"],
        "single": frame(("A", 0), ("[SEP]", 0)),
    },
    "another class": {"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
    "one segment": {
        **tokenizer_json()["post_processor"],
        "pair": frame(*SINGLE, ("B", 0), ("[SEP]", 0)),
    },
}


@pytest.mark.parametrize("case", OTHER_FRAMES)
def test_rows_framed_in_another_way_are_refused(folder, case):
    folder.change("tokenizer.json", "post_processor", to=OTHER_FRAMES[case])
    assert folder.ids() == folder.ids_of_transformers()[:-1] + folder.ids()[-1:]  # not looked at
    folder.change("tokenizer_config.json", "tokenizer_class", to="PreTrainedTokenizerFast")
    assert "its post_processor is" in folder.line()


def test_the_older_frame_is_bert_s_as_well(folder):
    older = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    folder.change("tokenizer.json", "post_processor", to=older)
    folder.change("tokenizer_config.json", "tokenizer_class", to="PreTrainedTokenizerFast")
    assert folder.ids() == folder.ids_of_transformers()


# --- one token, one id ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: folder.change("tokenizer.json", "model", "vocab", "hello", to=6),
            "the tokens 'hello' and 'na' have the same id, 6; each needs its own",
        ),
        (
            lambda folder: folder.change("tokenizer.json", "added_tokens", 5, to=special("[E]", 6)),
            "the tokens 'na' and '[E]' have the same id, 6",
        ),
        (
            lambda folder: folder.change("tokenizer.json", "added_tokens", 5, to=word("hello", 99)),
            "the token 'hello' has two ids, 5 and 99; keep the right one",
        ),
        (
            lambda folder: folder.change("tokenizer.json", "added_tokens", 5, to=word("[SEP]", 3)),
            "it adds the token '[SEP]' twice; keep the right one",
        ),
        (
            lambda folder: folder.change(
                "tokenizer.json", "added_tokens", 5, to=word("Co", 16)
            ).change("tokenizer.json", "added_tokens", 6, to=word("CO", 17)),
            "the added tokens 'Co' and 'CO' are the same once normalised",
        ),
        (
            lambda folder: folder.change("tokenizer.json", "added_tokens", 5, to=word("\xad", 16)),
            "the added token '\\xad' is empty once normalised",
        ),
        (
            lambda folder: folder.put("added_tokens.json", {"[SEP]": 4}),
            "the token '[SEP]' has two ids, 4 and, in another file, 3",
        ),
        (
            lambda folder: folder.without_json().put(
                "vocab.txt", "\n".join([*TOKENS, "hello"]).encode()
            ),
            "vocab.txt has the token 'hello' twice, in lines 6 and 17, so it would have two ids",
        ),
        (
            lambda folder: folder.without_json().change(
                "tokenizer_config.json", "added_tokens_decoder", to={"6": special("[E]", 6)}
            ),
            "the tokens 'na' and '[E]' have the same id, 6",
        ),
        (
            lambda folder: folder.change(
                "tokenizer_config.json", "added_tokens_decoder", to={"16": special("[E]", 16)}
            ),
            "do not add the same tokens: one of them lacks",
        ),
        (
            lambda folder: folder.put("special_tokens_map.json", {"cls_token": "[SEP]"}),
            "cls_token is '[SEP]', and tokenizer_config.json has '[CLS]'",
        ),
    ],
)
def test_tokens_and_ids_are_one_to_one(folder, change, message):
    change(folder)
    assert message in folder.line()


@pytest.mark.parametrize("stated", [{}, {"0": special("[PAD]", 0)}])
def test_one_file_may_be_silent_on_the_tokens_that_have_a_role(folder, stated):
    """Old and hand-made folders are; these tokens are special wherever they are named."""
    folder.change("tokenizer_config.json", "added_tokens_decoder", to=stated)
    assert folder.ids("python") == folder.ids("rust") == folder.ids_of_transformers()


def test_an_added_word_may_be_a_token_of_the_vocabulary_in_other_letters(folder):
    folder.change("tokenizer.json", "added_tokens", 5, to=word("Hello", 16))
    assert folder.ids("python") == folder.ids("rust") == folder.ids_of_transformers()
    for backend in ("python", "rust"):
        tokenizer = WordPieceTokenizer.from_pretrained(folder.path, backend=backend)
        assert tokenizer.encode("hello").ids == [2, 16, 3]


def test_a_vocabulary_made_by_hand_is_held_to_the_same():
    ids = {token: i for i, token in enumerate(TOKENS)}
    roles = {token: ids[token] for token in ROLES}
    for wrong, message in (
        ({"ids": {**ids, "x": 6}}, "the tokens 'na' and 'x' have the same id, 6"),
        ({"ids": {**ids, "x": "6"}}, "the id of the token 'x' is '6'; it must be a whole number"),
        ({"special": {}}, "its special tokens lack '[CLS]', which is its cls_token"),
        ({"added": {"hello": 99}}, "the token 'hello' has two ids, 5 and 99"),
        ({"ids": None}, "ids is None; it must be a mapping of tokens to their ids"),
        ({"special": ROLES}, "it must be a mapping of tokens to their ids"),
        ({"added": ["x"]}, "added is ['x']; it must be a mapping of tokens to their ids"),
        ({"lower_case": "yes"}, "lower_case is 'yes'; it must be true or false"),
        ({"strip_accents": 1}, "strip_accents is 1; it must be true or false, or null"),
        ({"split_cjk": None}, "split_cjk is None; it must be true or false"),
        ({"cls_token": ["[CLS]"]}, "cls_token is ['[CLS]']; it must be a string"),
        ({"model_max_length": "5"}, "model_max_length is '5'; it must be a whole number from 1"),
        ({"model_max_length": 0}, "model_max_length is 0; it must be a whole number from 1"),
    ):
        with pytest.raises(ValueError) as caught:
            WordPieceVocabulary(**{"ids": ids, "special": roles, "lower_case": True, **wrong})
        assert message in str(caught.value)


# --- vocab.txt as people mean it -----------------------------------------------------------------

SPELLINGS = {
    "no last line end": lambda text: text.rstrip("\n"),
    "a blank last line": lambda text: text + "\n",
    "blank last lines": lambda text: text + "\n \n\t\n",
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "a mark at the beginning": lambda text: "\ufeff" + text,
    "spaces after tokens": lambda text: text.replace("\n", " \t\n"),
    "all of it": lambda text: "\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_line_ends_and_blank_last_lines_are_no_tokens(folder, spelling):
    folder.without_json()
    wanted, size = folder.ids(), len(TOKENS)
    folder.put("vocab.txt", SPELLINGS[spelling]("\n".join(TOKENS) + "\n").encode())
    assert folder.ids("python") == folder.ids("rust") == wanted
    assert read_vocabulary(folder.path, WordPieceVocabulary).size == size


def test_a_blank_line_in_between_has_an_id_as_in_transformers(folder):
    folder.without_json().put("vocab.txt", "\n".join([*TOKENS[:8], "", *TOKENS[8:]]).encode())
    assert folder.ids("python") == folder.ids("rust") == folder.ids_of_transformers()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "vocab.txt is empty"),
        (b"\n\n \n", "vocab.txt is empty"),
        ("\n".join(TOKENS).encode("utf-16"), "vocab.txt is not UTF-8 text"),
        (b"\xff\n", "vocab.txt is not UTF-8 text"),
    ],
)
def test_what_is_no_vocabulary_is_refused(folder, content, message):
    assert message in folder.without_json().put("vocab.txt", content).line()


# --- values of the wrong shape -------------------------------------------------------------------

ODD = [None, True, 0, -1, 5, 2**31, 2**70, 1.5, "", "x", "5", [], ["a"], [None], {}, {"a": 1}]
SWITCHES = ["yes", 1, "true", [], {}]
IDS = [None, True, "5", -1, 2**31, 1.0, [5], {"id": 5}]
WRONG = [
    *(("tokenizer.json", (key,), value, key) for key in ("model", "normalizer") for value in ODD),
    *(("tokenizer.json", ("pre_tokenizer",), value, "pre_tokenizer") for value in ODD),
    *(
        ("tokenizer.json", ("model", "vocab"), value, "vocab")
        for value in (..., None, [], "x", 5, [["a", 0]])
    ),
    *(
        ("tokenizer.json", ("model", "vocab", "hello"), value, "the id of the token 'hello' is")
        for value in IDS
    ),
    *(
        ("tokenizer.json", ("added_tokens",), value, "added_tokens")
        for value in (5, "x", {}, {"a": 1}, [None], ["[SEP]"], [5], [[]])
    ),
    *(
        ("tokenizer.json", ("added_tokens", 0, "id"), value, "in added_tokens[0], id is")
        for value in (..., *IDS)
    ),
    *(
        ("tokenizer.json", ("added_tokens", 0, "content"), value, "in added_tokens[0], content is")
        for value in (..., None, "", 5, ["a"], {})
    ),
    *(
        ("tokenizer.json", ("added_tokens", 0, flag), value, f"in added_tokens[0], {flag} is")
        for flag in ("special", "normalized", "lstrip")
        for value in SWITCHES
    ),
    *(
        ("tokenizer.json", ("normalizer", "lowercase"), value, "lowercase")
        for value in (..., None, *SWITCHES)
    ),
    *(
        ("tokenizer.json", ("normalizer", "strip_accents"), value, "strip_accents is")
        for value in SWITCHES
    ),
    *(
        ("tokenizer_config.json", (key,), value, f"{key} is")
        for key in ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
        for value in SWITCHES
    ),
    *(
        ("tokenizer_config.json", ("model_max_length",), value, "model_max_length is")
        for value in ("512", 0, -1, True, [512], {}, 1.5)
    ),
    *(
        ("tokenizer_config.json", ("cls_token",), value, "cls_token is")
        for value in (5, True, "", [], ["[CLS]"], {}, {"content": 5}, {"content": None})
    ),
    *(
        ("tokenizer_config.json", ("tokenizer_class",), value, "tokenizer_class is")
        for value in (5, True, [], {}, "")
    ),
    *(
        ("tokenizer_config.json", ("added_tokens_decoder",), value, "added_tokens_decoder")
        for value in (
            5,
            "x",
            [],
            [special("[PAD]", 0)],
            {"0": None},
            {"0": "[PAD]"},
            {"0": {}},
            {"0": {"content": 5}},
            {"x": special("[PAD]", 0)},
            {"-1": special("[PAD]", 0)},
            {"1_0": special("[PAD]", 0)},
            {"٣": special("[PAD]", 0)},
            {"9" * 5000: special("[PAD]", 0)},
        )
    ),
    *(
        ("tokenizer_config.json", ("extra_special_tokens",), value, "extra_special_tokens is")
        for value in (5, "x", [5], [None], {"a": 1})
    ),
    *(
        ("special_tokens_map.json", ("cls_token",), value, "cls_token is")
        for value in (5, True, [], {}, {"content": 5})
    ),
    *(
        (
            "special_tokens_map.json",
            ("additional_special_tokens",),
            value,
            "additional_special_tokens is",
        )
        for value in (5, "x", [5], [None], {"a": 1})
    ),
    *(("added_tokens.json", ("[SEP]",), value, "its content is") for value in IDS),
]


def title(case):
    name, keys, value, _ = case
    return f"{name} {'.'.join(map(str, keys))} {'missing' if value is ... else repr(value)[:40]}"


@pytest.mark.parametrize("case", WRONG, ids=title)
def test_a_value_of_the_wrong_shape_is_named_with_its_file_and_key(folder, case):
    name, keys, value, message = case
    if not (folder.path / name).exists():
        folder.put(name, {})
    line = folder.change(name, *keys, to=value).line()
    assert f"{name}: " in line and message in line.replace("missing;", "is")


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"],
)
@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'"x"', b"5", b"{", b"\xff", b'{"a": NaN}', b'{"a": 1, "a": 2}']
    + [b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b"[" * 100_000],
    ids=repr,
)
def test_a_file_that_is_no_object_is_named(folder, name, content):
    assert f"{name}: " in folder.put(name, content).line()


def test_a_folder_in_the_place_of_a_file_is_named(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        path = folder.path / name
        path.unlink(missing_ok=True)
        path.mkdir()
        with pytest.raises(OSError, match=f"{name} is a folder"):
            folder.ids()
        path.rmdir()
        folder.__init__(folder.path)


def test_a_huge_id_for_which_memory_would_be_taken_is_refused(folder):
    folder.change("tokenizer.json", "model", "vocab", "hello", to=2**24)
    assert (
        "token 'hello' is 16777216; it must be a whole number from 0 to 16777215" in folder.line()
    )


def test_ids_may_have_gaps(folder):
    folder.change("tokenizer.json", "model", "vocab", "hello", to=70_000)
    for backend in ("python", "rust"):
        tokenizer = WordPieceTokenizer.from_pretrained(folder.path, backend=backend)
        tokenizer.save_pretrained(folder.path)
        assert tokenizer.encode("hello").ids == [2, 70_000, 3]
        assert tokenizer.vocabulary.size == 70_001
        assert tokenizer.decode([70_000]) == "hello"


@pytest.mark.parametrize(("stated", "read"), [(512, 512), (512.0, 512), (1e30, None), (None, None)])
def test_the_longest_row_is_a_number_and_a_huge_one_is_none(folder, stated, read):
    folder.change("tokenizer_config.json", "model_max_length", to=stated)
    assert read_vocabulary(folder.path, WordPieceVocabulary).model_max_length == read
