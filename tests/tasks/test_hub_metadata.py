"""A saved classifier's README.md, as the hub reads it."""

import pytest
from huggingface_hub import ModelCard, metadata_load

from minibert import TextClassifier
from minibert.training.model_card import hub_name
from tests.conftest import TEXTS, new_encoder

LABELS = ["good" if i % 2 else "bad" for i in range(24)]
HALF = (TEXTS[:12], LABELS[:12])
pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]


@pytest.fixture()
def start(tmp_path, few_words):
    return new_encoder(tmp_path / "start", few_words, num_hidden_layers=1)


def saved(tmp_path, model, validation=HALF, **settings):
    classifier = TextClassifier(model, epochs=2, batch_size=8, **settings)
    classifier.fit(TEXTS, LABELS, validation).save(tmp_path / "mine")
    return classifier, tmp_path / "mine" / "README.md"


@pytest.mark.parametrize("keep_best", [False, True])
def test_the_hub_reads_the_accuracy_of_the_weights_that_were_kept(start, tmp_path, keep_best):
    classifier, path = saved(tmp_path, start, keep_best=keep_best)
    history = classifier.history_
    kept = history.best if keep_best else history.evaluations[-1]
    card = ModelCard.load(path)
    found = {result.metric_name: result.metric_value for result in card.data.eval_results}
    measured = {name: value for name, value in kept.metrics.items() if ":" not in name}
    assert found == pytest.approx({**measured, "loss": kept.loss}, abs=1e-6)
    assert card.data.model_name == "mine" and card.data.metrics[0] == "accuracy"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    assert metadata_load(path)["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"


def test_what_is_not_known_is_left_out(start, tmp_path):
    _, path = saved(tmp_path, start, validation=None)
    assert set(metadata_load(path)) == {"pipeline_tag", "library_name", "tags"}
    assert str(tmp_path) not in path.read_text(encoding="utf-8"), "no paths of this machine"


@pytest.mark.parametrize(("weights", "licence"), [("pretrained", "mit"), ("random", None)])
def test_the_licence_is_that_which_the_base_model_states(start, tmp_path, weights, licence):
    """Random weights have nothing of another model's but its shape."""
    (start / "README.md").write_text("---\nlicense: mit\n---\n# Base\n", encoding="utf-8")
    _, path = saved(tmp_path, start, weights=weights)
    assert metadata_load(path).get("license") == licence
    assert "base_model" not in metadata_load(path)


def test_minilm_is_named_as_on_the_hub_with_its_licence(tmp_path):
    _, path = saved(tmp_path, "minilm-l6", trained_layers=0)
    metadata = metadata_load(path)
    assert metadata["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert metadata["license"] == "apache-2.0"


def test_a_size_is_named_as_its_checkpoint_on_the_hub():
    assert hub_name("bert-base-cased") == "google-bert/bert-base-cased"


def test_a_folder_has_no_name_on_the_hub(tmp_path, monkeypatch):
    assert hub_name("owner/model") == "owner/model"
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_name("owner/model") is None and hub_name(tmp_path) is None
