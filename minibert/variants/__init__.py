"""Families of models that differ from BERT in a few places, a file each.

variant     what a family can change
distilbert  half the layers, taught by BERT; no segments, no pooler
roberta     trained longer on more text; positions count tokens; XLM-R and CamemBERT, too
electra     trained to find replaced tokens; narrow embeddings
albert      all layers share one layer's weights; narrow embeddings
"""

from __future__ import annotations

from minibert._checks import shown
from minibert.variants.albert import ALBERT
from minibert.variants.distilbert import DISTILBERT
from minibert.variants.electra import ELECTRA
from minibert.variants.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from minibert.variants.variant import Variant

BERT = Variant()

VARIANTS: dict[str, Variant] = {
    variant.model_type: variant
    for variant in (BERT, DISTILBERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ELECTRA, ALBERT)
}

# Families that people ask for, and what in their encoder is not BERT's.
_REFUSED = {
    "mpnet": "its attention adds a bias for the distance of two tokens",
    "deberta": "its attention compares content and position apart",
    "deberta-v2": "its attention compares content and position apart",
    "modernbert": "it has rotary positions, gated feed-forwards and local attention",
    "nomic_bert": "it has rotary positions and gated feed-forwards",
}


def find_variant(model_type: object) -> Variant:
    """The family of this name in config.json, or a `ValueError` that lists them."""
    if isinstance(model_type, str) and model_type in VARIANTS:
        return VARIANTS[model_type]
    reason = _REFUSED.get(model_type) if isinstance(model_type, str) else None
    raise ValueError(
        f"model_type is {shown(model_type)}, which is no family that minibert has"
        + (f" ({reason})" if reason else "")
        + f"; it has {', '.join(VARIANTS)}"
    )
