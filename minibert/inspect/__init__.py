"""What learners look at: sizes and memory, tokens, attention, vectors, and what words and parts do.

Every function returns numbers first: a frozen dataclass of arrays whose `print` is a table. Layers
and heads are numbered from 1, positions from 0, as everywhere in BERT.

sizes         parameters by part, memory and FLOPs
tokens        the pieces of a text
running       one text through a model, with all that it computed
attention_maps  the weights of each head for a text; rollout
statistics    what heads do over many texts
vectors       a word's vectors in its contexts; principal components
positions     how alike the vectors of two positions are
words         the words of a text as a classifier reads it
explained     which of a classifier's outputs is explained, and its gradients
attributions  which words speak for it: integrated gradients, occlusion
deletion      which way of finding them is to be trusted
ablation      a model without some of its heads, or without a layer
page          a page that shows what each token attends to
drawing       what pictures share: an empty figure, labels, numbers
pictures      heads, positions, texts and a word in its contexts, as figures
bars          importance, the deletion test and sizes, as figures
"""

from minibert.inspect.ablation import without_heads, without_layer
from minibert.inspect.attention_maps import Rollout, TextAttention, attentions, rollout
from minibert.inspect.attributions import Attribution, integrated_gradients, occlusion
from minibert.inspect.bars import plot_deletion, plot_importance, plot_sizes
from minibert.inspect.deletion import DeletionTest, deletion_test
from minibert.inspect.page import AttentionPage, attention_page
from minibert.inspect.pictures import (
    plot_ablation,
    plot_head,
    plot_heads,
    plot_positions,
    plot_similarity,
    plot_statistics,
    plot_word,
)
from minibert.inspect.positions import PositionSimilarity, position_similarity
from minibert.inspect.sizes import Memory, Part, Summary, summary
from minibert.inspect.statistics import HeadStatistics, head_statistics
from minibert.inspect.tokens import TokenRow, TokenTable, token_table
from minibert.inspect.vectors import Components, WordVectors, pca, token_vectors

__all__ = [
    "AttentionPage",
    "Attribution",
    "Components",
    "DeletionTest",
    "HeadStatistics",
    "Memory",
    "Part",
    "PositionSimilarity",
    "Rollout",
    "Summary",
    "TextAttention",
    "TokenRow",
    "TokenTable",
    "WordVectors",
    "attention_page",
    "attentions",
    "deletion_test",
    "head_statistics",
    "integrated_gradients",
    "occlusion",
    "pca",
    "plot_ablation",
    "plot_deletion",
    "plot_head",
    "plot_heads",
    "plot_importance",
    "plot_positions",
    "plot_similarity",
    "plot_sizes",
    "plot_statistics",
    "plot_word",
    "position_similarity",
    "rollout",
    "summary",
    "token_table",
    "token_vectors",
    "without_heads",
    "without_layer",
]
