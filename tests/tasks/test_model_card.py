"""The model card tells what a model was made from, how, and how good it is."""

import platform
import warnings

import numpy as np
import torch
import yaml

from minibert import TextClassifier
from tests.conftest import TEXTS
from tests.tasks.conftest import new


def test_card_tells_data_recipe_results_and_versions(start, tmp_path):
    labels = ["bad"] * 18 + ["good"] * 6
    settings = dict(seed=7, batch_size=8, layer_decay=0.9, patience=5, keep_best=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has learned nothing
        classifier = new(start, **settings).fit(TEXTS, labels, (TEXTS[12:], labels[12:]))
    classifier.save(tmp_path / "m", data="Made up for a test.")
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "transformers"
    for told in (
        "3 layers, 48 wide",
        f"`{start.name}`",
        "Made up for a test.",
        "24 texts for training: bad 18 (75.0%), good 6 (25.0%). 12 for development.",
        *(f"| {name} | {value} |" for name, value in settings.items()),
        "| lr | 0.0001 |",
        "| epochs | 1 |",
        "| class_weight | None |",
        *(
            f"| {e.step} | {e.accuracy:.2%} | {e.loss:.4f} |"
            for e in classifier.history_.evaluations
        ),
        f"The weights are those of step {classifier.history_.best.step}",
        # The model takes fewer tokens than were asked for.
        "| max_length | 40 |",
        "| warmup | 0.06 |",
        "| weight_decay | 0.01 |",
        "| clip | 1.0 |",
        "3 steps, 24 examples",
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
        f"numpy {np.__version__}",
    ):
        assert told in body, told
    assert str(start.parent) not in card, "no paths of this machine"
    TextClassifier.load(tmp_path / "m").save(tmp_path / "again")
    assert not (tmp_path / "again" / "README.md").exists(), "nothing is known of its training"
