"""The table of the variants, and how benchmarks make batches for them."""

import json

import inference_contenders
import pytest
import variants

from minibert.checkpoint.sizes import SIZES
from minibert.variants import VARIANTS
from tests.conftest import ROOT, small_variant


def test_every_family_has_a_row_and_the_readme_has_the_table():
    rows = variants.table({})
    assert {SIZES[name].model_type for name in variants.CHANGED} == set(VARIANTS)
    readme = (ROOT / "README.md").read_text("utf-8")
    for row in rows[2:]:
        unmeasured = row.rpartition("| not measured")[0]
        assert unmeasured and unmeasured in readme, "python benchmarks/variants.py makes the table"


def test_rates_are_those_that_inference_wrote(tmp_path):
    seconds = {"minibert fp32": [2.0, 1.0, 4.0], "onnxruntime fp32": [4.0], "minibert int8": [0.1]}
    seconds["transformers fp32"], seconds["onnxruntime int8"] = [8.0], [0.5]
    works = {"stream": {name: {"seconds": found} for name, found in seconds.items()}}
    path = tmp_path / "roberta.json"
    path.write_text(json.dumps({"model": "roberta-base", "rows": {"stream": 8}, "works": works}))
    assert variants.rates([path]) == {"roberta-base": (4.0, 2.0, "onnxruntime fp32")}
    (row,) = [row for row in variants.table(variants.rates([path])) if "`roberta-base`" in row]
    assert row.endswith("| 4, 2 (onnxruntime fp32) |")
    path.write_text("{}")
    with pytest.raises(ValueError, match="roberta.json has no stream.*inference.py --json"):
        variants.rates([path])


@pytest.mark.parametrize(
    ("family", "padding", "segments"),
    [("bert", 0, True), ("roberta", 1, True), ("distilbert", 0, False)],
)
def test_peers_get_batches_of_the_family(family, padding, segments, tmp_path):
    small_variant(family, pad_token_id=padding, vocab_size=50).save_pretrained(tmp_path / "m")
    batch = inference_contenders.padder(tmp_path / "m")([[5, 6, 7], [8]])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, padding, padding]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ("token_type_ids" in batch) == segments


def test_a_shape_takes_the_tokenizers_padding_and_refuses_one_that_is_too_large(
    tokenizer, tmp_path
):
    with pytest.raises(ValueError, match="ids up to 30521, and albert-base-v2 embeddings for 300"):
        inference_contenders.shape_model(tmp_path / "m", "albert-base-v2", tokenizer)
