"""Tokens that older files add are not overlooked: read, or refused with a way out."""

import json
import shutil

import pytest
import transformers

from minibert.tokenizer import WordPieceTokenizer


@pytest.fixture()
def old(minilm, tmp_path):
    """A folder as slow tokenizers left it: no tokenizer.json."""
    for name in ("config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(minilm / name, tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return tmp_path


def merge(path, **changes):
    data = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**data, **changes}))


ADDITIONS = {
    "added_tokens.json": {"<ent>": 30522},
    "special_tokens_map.json": {"additional_special_tokens": ["<ent>"]},
    "tokenizer_config.json": {"additional_special_tokens": ["<ent>"]},
}


@pytest.mark.parametrize("file", ADDITIONS)
def test_added_tokens_are_refused_with_a_way_out_that_works(old, file, tmp_path):
    merge(old / file, **ADDITIONS[file])
    reference = transformers.BertTokenizer.from_pretrained(old)
    wanted = reference("the <ent>cat")["input_ids"]
    assert 30522 in wanted, "transformers adds the token"
    with pytest.raises(ValueError, match="<ent>.*save_pretrained"):
        WordPieceTokenizer.from_pretrained(old)
    reference.save_pretrained(tmp_path / "new")
    for backend in ("python", "rust"):
        ours = WordPieceTokenizer.from_pretrained(tmp_path / "new", backend=backend)
        assert ours.encode("the <ent>cat").ids == wanted


WORDS = ["covid", "Long Covid", "naïve-ish", "日本", "##ing", "e.g."]
TEXTS = [
    "The covid, COVID and long covids; Covid-19!",
    "Long  covid long covid LONG COVID",
    "NAIVE-ISH naïve-ish naive ish",
    "日本語 x日本y 日 本",
    "a ##ing thing e.g. E.G. e. g.",
    "[MASK]covid[SEP] unaffordable [mask]",
    "co\u00advid co\u0301vid",
    "",
]


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased rules"])
def with_words(request, minilm, tmp_path_factory):
    """transformers' tokenizer with added words, and for each of our backends ours of the folder
    it saved, and transformers' of the folder that ours saved."""
    folder = tmp_path_factory.mktemp("words")
    reference = transformers.BertTokenizer(str(minilm / "vocab.txt"), do_lower_case=request.param)
    assert reference.add_tokens(WORDS[:3]) == 3
    reference.add_special_tokens({"additional_special_tokens": ["[E1]"]})
    reference.add_tokens(WORDS[3:])
    reference.save_pretrained(folder)
    pairs = []
    for backend in ("python", "rust"):
        ours = WordPieceTokenizer.from_pretrained(folder, backend=backend)
        ours.save_pretrained(folder / backend)
        pairs.append((ours, transformers.AutoTokenizer.from_pretrained(folder / backend)))
    return reference, pairs


@pytest.mark.parametrize("text", [*TEXTS, "[E1]covid [e1] naïve-ish[E1]"])
def test_added_words_are_those_of_transformers(with_words, text):
    """They come out of the normalised text whole, wherever they stand, and are not special."""
    reference, pairs = with_words
    wanted = reference.backend_tokenizer.encode(text)
    for ours, again in pairs:
        got = ours.encode(text)
        assert got.tokens == reference.convert_ids_to_tokens(wanted.ids)
        assert got.ids == wanted.ids
        assert got.offsets == wanted.offsets
        assert got.word_ids == wanted.word_ids
        for skip in (False, True):
            decoded = reference.backend_tokenizer.decode(wanted.ids, skip_special_tokens=skip)
            assert ours.decode(got.ids, skip_special_tokens=skip) == decoded
        assert again.backend_tokenizer.encode(text).ids == wanted.ids


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word"])
def test_added_tokens_with_other_rules_are_refused(minilm, tmp_path, flag):
    reference = transformers.BertTokenizer(str(minilm / "vocab.txt"))
    reference.add_tokens([transformers.AddedToken("covid", **{flag: True})])
    reference.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"'covid' with {flag}"):
        WordPieceTokenizer.from_pretrained(tmp_path)


def test_old_folders_without_additions_are_read(old):
    assert WordPieceTokenizer.from_pretrained(old).encode("a").ids == [101, 1037, 102]


def test_special_tokens_of_other_names_are_refused(old):
    merge(old / "special_tokens_map.json", cls_token="<s>")
    with pytest.raises(ValueError, match="<s>"):
        WordPieceTokenizer.from_pretrained(old)
