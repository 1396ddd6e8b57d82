"""Files of the variants' tokenizers, whoever wrote them: read right, or refused in one line."""

import json

import pytest

from minibert import BertConfig, TextEncoder, Tokenizer, WordPieceTokenizer
from minibert.tasks.sentence_transformers import SentenceFolder
from minibert.text.vocabulary import BytePairVocabulary
from tests.text.kinds import split_files, write_folder

JSON, CONFIG = "tokenizer.json", "tokenizer_config.json"
ROBERTA, XLMR, ALBERT = "RobertaTokenizer", "XLMRobertaTokenizer", "AlbertTokenizer"
AS_IT_IS = "PreTrainedTokenizerFast"
OTHERS = "use transformers.AutoTokenizer for this model"


def change(path, *keys, to):
    """Replace a value of a JSON file, however deep; or take it out, if it is to be `...`."""
    data = inner = json.loads(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        inner = inner[key]
    if to is ...:
        del inner[keys[-1]]
    elif isinstance(inner, list) and keys[-1] == len(inner):
        inner.append(to)
    else:
        inner[keys[-1]] = to
    path.write_text(json.dumps(data), encoding="utf-8")


def refusal(folder, kind=Tokenizer, error=ValueError):
    """The one line in which both backends refuse a folder."""
    lines = set()
    for backend in ("rust", "python"):
        with pytest.raises(error) as caught:
            kind.from_pretrained(folder, backend=backend)
        lines.add(str(caught.value))
    (line,) = lines
    assert "\n" not in line and len(line.replace(str(folder), "")) < 500, line
    return line


def token(content, i, **flags):
    rules = {"special": False, "normalized": True, "lstrip": False, "rstrip": False}
    return {"id": i, "content": content, "single_word": False, **rules, **flags}


# --- one kind in place of another ----------------------------------------------------------------


@pytest.mark.parametrize("name", [ROBERTA, XLMR, ALBERT])
def test_another_kind_than_wordpiece_is_refused_where_only_that_will_do(tmp_path, name):
    line = refusal(write_folder(tmp_path, name), WordPieceTokenizer)
    kind = "BPE" if name == ROBERTA else "Unigram"
    assert f"{JSON}: it is not a BERT tokenizer: its model is '{kind}'" in line
    assert "Tokenizer.from_pretrained" in line
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="this tokenizer takes a WordPieceVocabulary"):
        WordPieceTokenizer(tokenizer.vocabulary)


def test_files_of_the_older_form_are_refused_as_well(tmp_path):
    split_files(write_folder(tmp_path, ROBERTA))
    line = refusal(tmp_path, WordPieceTokenizer)
    assert "vocab.json: it is not a BERT tokenizer: its model is 'BPE'" in line


@pytest.mark.parametrize("name", ["sentencepiece.bpe.model", "spiece.model"])
def test_sentencepiece_alone_is_refused_with_what_to_do(tmp_path, name):
    write_folder(tmp_path, XLMR)
    (tmp_path / name).write_bytes(b"\n\x0e\n\x05<unk>")
    assert Tokenizer.from_pretrained(tmp_path)
    (tmp_path / JSON).unlink()
    line = refusal(tmp_path)
    assert f"has its tokenizer in {name} only" in line and "save_pretrained it" in line


@pytest.mark.parametrize("gone", ["vocab.json", "merges.txt"])
def test_half_of_a_vocabulary_is_none(tmp_path, gone):
    (split_files(write_folder(tmp_path, ROBERTA)) / gone).unlink()
    line = refusal(tmp_path, error=FileNotFoundError)
    assert "neither tokenizer.json nor vocab.txt, nor vocab.json with merges.txt" in line


@pytest.mark.parametrize("name", [ROBERTA, XLMR])
def test_unigram_is_cut_by_rust_only(tmp_path, name):
    write_folder(tmp_path, name)
    if name == ROBERTA:
        Tokenizer.from_pretrained(tmp_path, backend="python")
    else:
        with pytest.raises(ValueError, match="Unigram is cut by 'rust' only; leave backend out"):
            Tokenizer.from_pretrained(tmp_path, backend="python")


def test_a_tokenizer_that_cannot_be_told_to_lower_case_is_refused(tmp_path):
    write_folder(tmp_path, ROBERTA)
    module = {"type": "sentence_transformers.models.Transformer", "path": ""}
    (tmp_path / "modules.json").write_text(json.dumps([module]))
    settings = tmp_path / "sentence_bert_config.json"
    settings.write_text(json.dumps({"do_lower_case": False, "max_seq_length": 64}))
    vocabulary = SentenceFolder.read(tmp_path).vocabulary()
    assert isinstance(vocabulary, BytePairVocabulary)
    settings.write_text(json.dumps({"do_lower_case": True}))
    with pytest.raises(ValueError, match="sentence_bert_config.json has do_lower_case, and its"):
        SentenceFolder.read(tmp_path).vocabulary()
    with pytest.raises(ValueError, match="give a BertModel and a Tokenizer"):
        TextEncoder(BertConfig(), Tokenizer(vocabulary))


# --- byte pairs ----------------------------------------------------------------------------------

BYTE_PAIRS = [
    (CONFIG, ("tokenizer_class",), "BertTokenizer", "the vocabulary beside it is one of BPE"),
    (
        CONFIG,
        ("tokenizer_class",),
        "GPT2Tokenizer",
        f"tokenizer_class is 'GPT2Tokenizer': {OTHERS}",
    ),
    (CONFIG, ("tokenizer_class",), XLMR, "one of the two must be mended"),
    (CONFIG, ("split_special_tokens",), True, "split_special_tokens is True"),
    (CONFIG, ("auto_map",), ["mine.Mine", None], "a tokenizer with code of its own"),
    *((CONFIG, ("add_prefix_space",), v, "add_prefix_space is") for v in ("yes", 1, None, {})),
    *((CONFIG, ("trim_offsets",), v, "trim_offsets is") for v in ("no", 0, None)),
    (CONFIG, ("mask_token",), "[MASK]", "it has no token '[MASK]', which is its mask_token"),
    (CONFIG, ("extra_special_tokens",), ["<e>"], "adds the tokens '<e>' in files of an older kind"),
    (JSON, ("normalizer",), {"type": "Lowercase"}, "the normalizer 'Lowercase', and RoBERTa's"),
    (JSON, ("normalizer",), "x", "normalizer is 'x'"),
    *((JSON, ("pre_tokenizer",), v, "pre_tokenizer") for v in (None, ..., [], {}, {"type": "X"})),
    (JSON, ("pre_tokenizer", "use_regex"), False, "it must be ByteLevel with use_regex"),
    (JSON, ("pre_tokenizer", "add_prefix_space"), "x", "add_prefix_space is 'x'"),
    (JSON, ("model", "type"), "WordLevel", "its model has type 'WordLevel'"),
    (JSON, ("model", "type"), [], "its model has type []"),
    (JSON, ("model", "dropout"), 0.1, "its model has dropout 0.1"),
    (JSON, ("model", "continuing_subword_prefix"), "##", "continuing_subword_prefix '##'"),
    (JSON, ("model", "end_of_word_suffix"), "</w>", "end_of_word_suffix '</w>'"),
    (JSON, ("model", "byte_fallback"), True, "its model has byte_fallback True"),
    (JSON, ("model", "ignore_merges"), True, "its model has ignore_merges True"),
    *((JSON, ("model", "vocab"), v, "vocab is") for v in (None, [], 5, "x")),
    *((JSON, ("model", "vocab", "a"), v, "the id of the token 'a' is") for v in (None, "5", -1)),
    (JSON, ("model", "vocab", "a"), 0, "have the same id, 0; each needs its own"),
    *((JSON, ("model", "merges"), v, "merges is") for v in (None, {}, "a b", 5)),
    *(
        (JSON, ("model", "merges", 0), v, "its merge 0 is")
        for v in (5, None, "ab", "a b c", ["a"], ["a", 5], ["", "a"], " a", {"a": "b"})
    ),
    (JSON, ("model", "merges", 0), ["a", "\n"], "'\\n' is not in the vocabulary"),
    (JSON, ("model", "merges", 0), "Ġ Ġ", "its merge 0 is 'Ġ Ġ', and 'ĠĠ' is not in the vocab"),
    *(
        (JSON, ("added_tokens", 5), token("wow", 1500, **{flag: True}), f"'wow' with {flag}")
        for flag in ("rstrip", "single_word")
    ),
    (JSON, ("added_tokens", 5), token("wow", 7), "the tokens"),
]


def title(case):
    name, keys, value, _ = case
    return f"{name} {'.'.join(map(str, keys))} {'missing' if value is ... else repr(value)[:40]}"


@pytest.mark.parametrize("case", BYTE_PAIRS, ids=title)
def test_byte_pairs_that_are_not_roberta_s_are_refused_by_name(tmp_path, case):
    name, keys, value, message = case
    change(write_folder(tmp_path, ROBERTA) / name, *keys, to=value)
    line = refusal(tmp_path)
    said = message.removesuffix(f": {OTHERS}")
    assert str(tmp_path) in line and said in line.replace("missing;", "is")
    assert message == said or line.endswith(OTHERS)


@pytest.mark.parametrize("name", [ROBERTA, XLMR])
def test_files_that_add_other_tokens_are_refused_but_for_the_roles(tmp_path, name):
    mask = token("<mask>", 4, special=True, normalized=False, lstrip=True)
    write_folder(tmp_path, name, {"added_tokens_decoder": {"4": mask}})
    change(tmp_path / JSON, "added_tokens", to=[])
    assert "<mask>" in Tokenizer.from_pretrained(tmp_path).tokenize("a <mask>")
    change(tmp_path / CONFIG, "added_tokens_decoder", "1600", to=token("wow", 1600))
    assert "do not add the same tokens: one of them lacks 'wow' with id 1600" in refusal(tmp_path)


def test_an_added_word_is_found_and_a_gap_before_it_is_refused(tmp_path):
    write_folder(tmp_path, ROBERTA)
    change(tmp_path / JSON, "added_tokens", 5, to=token("wow", 1500))
    for backend in ("python", "rust"):
        mine = Tokenizer.from_pretrained(tmp_path, backend=backend)
        assert mine.encode("awow").tokens == ["<s>", "a", "wow", "</s>"]
    change(tmp_path / JSON, "added_tokens", 5, "id", to=1501)
    with pytest.raises(ValueError, match="'wow' has id 1501, which leaves a gap"):
        Tokenizer.from_pretrained(tmp_path)


def test_where_the_files_disagree_on_the_first_space_it_is_said(tmp_path):
    write_folder(tmp_path, ROBERTA)
    change(tmp_path / JSON, "pre_tokenizer", "add_prefix_space", to=True)
    with pytest.warns(UserWarning, match='does not say; False is taken.*put {"add_prefix_space"'):
        assert Tokenizer.from_pretrained(tmp_path).tokenize("and") != ["Ġand"]
    change(tmp_path / CONFIG, "add_prefix_space", to=False)
    with pytest.warns(UserWarning, match="disagree: add_prefix_space is False in the latter"):
        assert Tokenizer.from_pretrained(tmp_path).tokenize("and") != ["Ġand"]
    change(tmp_path / CONFIG, "tokenizer_class", to=AS_IT_IS)
    assert Tokenizer.from_pretrained(tmp_path).tokenize("and") == ["Ġand"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\n", "merges.txt: it is not UTF-8 text"),
        (b"#version: 0.2\na\n", "merges.txt: its merge 0 is 'a'; it must be two tokens"),
        (b"#version: 0.2\na b c\n", "its merge 0 is 'a b c'; it must be two tokens"),
        ("#version: 0.2\nĠ Ġ\n".encode(), "'ĠĠ' is not in the vocabulary"),
    ],
)
def test_merges_of_another_form_are_refused(tmp_path, content, message):
    split_files(write_folder(tmp_path, ROBERTA))
    (tmp_path / "merges.txt").write_bytes(content)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b'{"a": 1, "a": 2}', b"\xff"])
def test_a_vocab_json_that_is_no_object_is_named(tmp_path, content):
    split_files(write_folder(tmp_path, ROBERTA))
    (tmp_path / "vocab.json").write_bytes(content)
    assert "vocab.json: " in refusal(tmp_path)


def test_line_ends_of_merges_do_not_matter(tmp_path):
    wanted = Tokenizer.from_pretrained(split_files(write_folder(tmp_path, ROBERTA))).vocabulary
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "merges.txt").write_bytes("\r\n".join([*lines, "", ""]).encode("utf-8-sig"))
    assert Tokenizer.from_pretrained(tmp_path).vocabulary == wanted


# --- unigram -------------------------------------------------------------------------------------

UNIGRAM = [
    (CONFIG, ("tokenizer_class",), ROBERTA, "the vocabulary beside it is one of Unigram"),
    (CONFIG, ("tokenizer_class",), "T5Tokenizer", f"tokenizer_class is 'T5Tokenizer': {OTHERS}"),
    *((CONFIG, ("add_prefix_space",), v, "add_prefix_space is") for v in ("yes", 1, None)),
    (CONFIG, ("bos_token",), "<pad>", "bos_token is '<pad>' and cls_token is '<s>'"),
    (CONFIG, ("eos_token",), "<pad>", "eos_token is '<pad>' and sep_token is '</s>'"),
    (CONFIG, ("unk_token",), "<pad>", "its model has unk_id 3, the unk_token beside it is '<pad>'"),
    (JSON, ("model", "unk_id"), 0, "its model has unk_id 0"),
    *((JSON, ("model", "unk_id"), v, "unk_id is") for v in (None, ..., "3", -1, 900_000)),
    *((JSON, ("model", "vocab"), v, "vocab is") for v in (None, {}, 5, ...)),
    *(
        (JSON, ("model", "vocab", 9), v, "its piece 9 is")
        for v in (5, "x", ["x"], ["x", "y"], [5, 0])
    ),
    (JSON, ("model", "vocab", 9), ["<s>", 0], "the token '<s>' has two ids, 0 and 9"),
    (JSON, ("model", "byte_fallback"), True, "it has byte_fallback, and XLMRobertaTokenizer in"),
    (JSON, ("normalizer",), {"type": "Lowercase"}, "the normalizer 'Lowercase', and XLMRoberta"),
    (JSON, ("normalizer",), {"type": "Sequence"}, "normalizers is"),
    (JSON, ("normalizer", "normalizers", 0), 5, "a normalizer is 5"),
    *(
        (JSON, ("normalizer", "normalizers", 0, "precompiled_charsmap"), v, "charsmap is")
        for v in ("!", "", "AAAA", "BAAAAAAAAAD/", "/////w==", None, 5, ...)
    ),
]


@pytest.mark.parametrize("case", UNIGRAM, ids=title)
def test_a_unigram_that_is_not_xlm_r_s_is_refused_by_name(tmp_path, case):
    name, keys, value, message = case
    change(write_folder(tmp_path, XLMR) / name, *keys, to=value)
    line = refusal(tmp_path)
    said = message.removesuffix(f": {OTHERS}")
    assert str(tmp_path) in line and said in line.replace("missing;", "is")
    assert message == said or line.endswith(OTHERS)


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer", "decoder"])
@pytest.mark.parametrize("value", [5, {"type": "Nothing"}, {}])
def test_a_part_that_the_library_does_not_know_is_refused(tmp_path, part, value):
    write_folder(tmp_path, XLMR, {"tokenizer_class": AS_IT_IS})
    change(tmp_path / JSON, part, to=value)
    line = refusal(tmp_path)
    own = part == "normalizer" and ("normalizer is 5" in line or "type is missing" in line)
    assert f"{JSON}: " in line and (own or "the tokenizers library refuses it: " in line)


@pytest.mark.parametrize("name", [ROBERTA, XLMR])
@pytest.mark.parametrize("frame", [None, {}, {"type": "ByteLevel"}, 5, {"type": "Sequence"}])
def test_rows_framed_in_another_way_are_refused(tmp_path, name, frame):
    write_folder(tmp_path, name, {"tokenizer_class": AS_IT_IS})
    change(tmp_path / JSON, "post_processor", to=frame)
    assert "its post_processor is" in refusal(tmp_path)


def test_where_albert_s_files_disagree_on_letters_it_is_said(tmp_path):
    write_folder(tmp_path, ALBERT, {"do_lower_case": False})
    with pytest.warns(UserWarning, match="disagree: do_lower_case is False in the latter"):
        Tokenizer.from_pretrained(tmp_path)
