"""TextEncoder: the vectors of sentence-transformers, for any BERT."""

import json
import shutil

import numpy as np
import pytest
import sentence_transformers
import torch
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

import minibert
from minibert.tasks.text_encoder import TextEncoder
from minibert.tokenizer import Row
from tests.conftest import TEXTS

SENTENCES = [
    *TEXTS,
    "",
    "A cat.",
    "日本語 and naïve café " * 9,
    "Much too long for two hundred and fifty-six tokens. " * 40,
]


@pytest.fixture(scope="module")
def reference(minilm):
    return sentence_transformers.SentenceTransformer(str(minilm), device="cpu")


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder.load("minilm-l6")


@pytest.mark.filterwarnings("ignore:1 of 28 texts")
def test_vectors_are_those_of_sentence_transformers(encoder, reference, parity):
    wanted = reference.encode(SENTENCES, batch_size=8)
    got = encoder.encode(SENTENCES)
    assert got.dtype == np.float32 and got.shape == wanted.shape == (28, 384)
    parity.at_most("minilm-l6 to sentence-transformers", np.abs(got - wanted).max())


@pytest.mark.filterwarnings("ignore:2 of 28 texts")
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_and_normalizing(pooling, normalize, start, minilm, tmp_path, parity):
    """As sentence-transformers writes and reads them, in both of its file formats."""
    steps = [Transformer(str(start), max_seq_length=32)]
    steps += [Pooling(48, pooling_mode=pooling)]
    steps += [Normalize()] * normalize
    theirs = sentence_transformers.SentenceTransformer(modules=steps, device="cpu")
    theirs.save(str(tmp_path / "new"))
    ours = TextEncoder.load(tmp_path / "new")
    assert (ours.pooling, ours.normalize, ours.max_length) == (pooling, normalize, 32)
    miss = np.abs(ours.encode(SENTENCES) - theirs.encode(SENTENCES)).max()
    parity.at_most(f"pooling {pooling}, {'' if normalize else 'not '}normalized", miss)

    shutil.copytree(minilm, tmp_path / "old")
    keys = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
    modes = {key: mode == pooling for mode, key in keys.items()}
    (tmp_path / "old" / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    old = json.loads((tmp_path / "old" / "modules.json").read_text())
    (tmp_path / "old" / "modules.json").write_text(json.dumps(old[: 2 + normalize]))
    again = TextEncoder.load(tmp_path / "old", max_length=64)
    assert (again.pooling, again.normalize) == (pooling, normalize)


def test_pooler(minilm):
    ours = TextEncoder.load(minilm, pooling="pooler", normalize=False)
    model = minibert.BertModel.from_pretrained(minilm)
    with torch.inference_mode():
        wanted = model(**ours.tokenizer(["A text."])).pooler_output
    np.testing.assert_allclose(ours.encode(["A text."]), wanted.numpy(), atol=1e-6)


def test_a_vector_does_not_depend_on_its_company(encoder, parity):
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    parity.at_most("a text alone and among others", np.abs(together - alone).max())


@torch.inference_mode()
def test_a_pair_is_one_row_and_its_vector_the_mean_of_all_its_tokens(encoder):
    vector = encoder.encode([("a question", "an answer")])
    batch = encoder.tokenizer("a question", pairs="an answer")
    wanted = encoder.model(**batch).last_hidden_state.mean(dim=1)
    np.testing.assert_allclose(vector, torch.nn.functional.normalize(wanted), atol=1e-6)


def test_no_texts_and_long_texts(encoder):
    assert encoder.encode([]).shape == (0, 384)
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than 256 tokens"):
        encoder.encode(["short", "long " * 300])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("normalize", [True, False])
def test_long_texts_are_read_in_windows(encoder, normalize, parity):
    """The mean of the windows, each by its tokens; texts that fit keep their vector to the bit."""
    long = " ".join(f"number{i}" for i in range(70))
    texts = ["short", "", long]
    settings = {"normalize": normalize, "max_length": 64, "stride": 8}
    whole = TextEncoder(encoder.model, encoder.tokenizer, truncation="windows", **settings)
    got = whole.encode(texts)  # without a warning
    head = TextEncoder(encoder.model, encoder.tokenizer, max_length=64, normalize=normalize)
    np.testing.assert_array_equal(got[:2], head.encode(texts[:2]))

    ids = encoder.tokenizer.encode(texts[2]).ids[1:-1]
    assert len(ids) > 2 * 62
    starts = range(0, len(ids) - 8, 62 - 8)
    batch = encoder.tokenizer.pad(
        [Row([101, *ids[i : i + 62], 102], [0] * len(ids[i : i + 62] + [0, 0]), 0) for i in starts]
    )
    with torch.inference_mode():
        tokens = encoder.model(**batch).last_hidden_state  # zeros at padding
    wanted = tokens.sum(dim=(0, 1)) / batch["attention_mask"].sum()
    if normalize:
        wanted = torch.nn.functional.normalize(wanted, dim=0)
    parity.at_most("a long text in windows", np.abs(got[2] - wanted.numpy()).max())


@pytest.mark.filterwarnings("ignore:1 of 1 texts are longer")
def test_head_and_tail_of_a_long_text(encoder):
    text = " ".join(["start"] + ["and"] * 80 + ["end"])
    kept = " ".join(["start"] + ["and"] * 60 + ["end"])  # 64 tokens with [CLS] and [SEP]
    both = TextEncoder(encoder.model, encoder.tokenizer, max_length=64, truncation="head+tail")
    np.testing.assert_allclose(both.encode([text]), encoder.encode([kept]), atol=1e-6)


def test_a_bare_bert_is_pooled_by_the_mean_and_normalized(minilm, tmp_path):
    minibert.BertModel.from_pretrained(minilm).save_pretrained(tmp_path / "bare")
    minibert.WordPieceTokenizer.from_pretrained(minilm).write_files(tmp_path / "bare")
    ours = TextEncoder.load(tmp_path / "bare")
    assert (ours.pooling, ours.normalize, ours.max_length) == ("mean", True, 512)
    np.testing.assert_allclose(np.linalg.norm(ours.encode(TEXTS), axis=1), 1, atol=1e-6)


def test_lower_casing_that_the_folder_asks_for(minilm, tmp_path):
    """BGE's files ask for it; it matters where the tokenizer itself keeps the case."""
    folder = tmp_path / "m"
    shutil.copytree(minilm, folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    cased = TextEncoder.load(folder).tokenizer.tokenize("HELLO There")
    settings = {"max_seq_length": 256, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    lower = TextEncoder.load(folder).tokenizer.tokenize("HELLO There")
    assert cased == ["[UNK]", "[UNK]"] and lower == ["hello", "there"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "max"}, "'max'.*'cls', 'mean', 'pooler'"),
        ({"max_length": 513}, "513.*3 to 512"),
        ({"max_length": 2}, "max_length is 2; it must be a whole number of at least 3"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_bad_arguments(minilm, arguments, message):
    with pytest.raises(ValueError, match=message):
        TextEncoder.load(minilm, **arguments)


def test_bad_texts(encoder):
    with pytest.raises(ValueError, match="'one text'.*list"):
        encoder.encode("one text")
    with pytest.raises(ValueError, match="text 1 is 3, a int"):
        encoder.encode(["fine", 3])


def change_json(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "modules.json",
            lambda modules: modules.append({"path": "3_Dense", "type": "x.Dense"}),
            "Dense.*Pass pooling",
        ),
        (
            "1_Pooling/config.json",
            lambda config: config.update(pooling_mode="max"),
            "'max'",
        ),
        (
            "1_Pooling/config.json",
            lambda config: config.update(pooling_mode_cls_token=True),
            "cls.*mean",
        ),
        (
            "config_sentence_transformers.json",
            lambda config: config.update(prompts={"q": "query: "}, default_prompt_name="q"),
            "prompt 'query: '",
        ),
        ("config_sentence_transformers.json", lambda c: c.update(truncate_dim=64), "64"),
        ("modules.json", lambda modules: modules.insert(1, modules.pop()), "Normalize, Pooling"),
    ],
)
def test_other_steps_are_refused_unless_the_caller_decides(minilm, tmp_path, file, change, message):
    shutil.copytree(minilm, tmp_path / "m")
    change_json(tmp_path / "m" / file, change)
    with pytest.raises(ValueError, match=message):
        TextEncoder.load(tmp_path / "m")
    assert TextEncoder.load(tmp_path / "m", pooling="mean", normalize=True).pooling == "mean"


@pytest.mark.parametrize("content", ["{}", '["a"]', '[{"path": ""}]', "["])
def test_damaged_modules_are_named(minilm, tmp_path, content):
    shutil.copytree(minilm, tmp_path / "m")
    (tmp_path / "m" / "modules.json").write_text(content)
    with pytest.raises(ValueError, match="modules.json"):
        TextEncoder.load(tmp_path / "m")


def test_old_folders_have_the_bert_one_level_down(minilm, tmp_path):
    shutil.copytree(minilm, tmp_path / "m" / "0_Transformer")
    shutil.move(tmp_path / "m" / "0_Transformer" / "1_Pooling", tmp_path / "m" / "1_Pooling")
    modules = json.loads((minilm / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (tmp_path / "m" / "modules.json").write_text(json.dumps(modules))
    ours = TextEncoder.load(tmp_path / "m")
    assert ours.max_length == 256 and ours.encode(["a cat"]).shape == (1, 384)


def test_a_model_without_pooler_cannot_pool(minilm):
    model = minibert.BertModel(minibert.BertConfig.from_size("bert-tiny"), pooler=False)
    tokenizer = minibert.WordPieceTokenizer.from_pretrained(minilm)
    with pytest.raises(ValueError, match="'pooler'.*'mean' or 'cls'"):
        TextEncoder(model, tokenizer, pooling="pooler")
