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
    if file == "added_tokens.json":  # an ordinary token, looked for in the lower-cased text
        with pytest.raises(ValueError, match="<ent>.*normalized=true"):
            WordPieceTokenizer.from_pretrained(tmp_path / "new")
        return
    for backend in ("python", "rust"):
        ours = WordPieceTokenizer.from_pretrained(tmp_path / "new", backend=backend)
        assert ours.encode("the <ent>cat").ids == wanted


def test_old_folders_without_additions_are_read(old):
    assert WordPieceTokenizer.from_pretrained(old).encode("a").ids == [101, 1037, 102]


def test_special_tokens_of_other_names_are_refused(old):
    merge(old / "special_tokens_map.json", cls_token="<s>")
    with pytest.raises(ValueError, match="<s>"):
        WordPieceTokenizer.from_pretrained(old)
