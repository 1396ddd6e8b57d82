"""What learners look at: sizes and memory, tokens, attention, vectors.

Every function returns numbers first: a frozen dataclass of arrays whose `print` is a table. Layers
and heads are numbered from 1, positions from 0, as everywhere in BERT.

sizes         parameters by part, memory and FLOPs
tokens        the pieces of a text
running       one text through a model, with all that it computed
attention_maps  the weights of each head for a text; rollout
page          the attention page: one file for a browser, which needs nothing else
statistics    what heads do over many texts
vectors       a word's vectors in its contexts; principal components
positions     how alike the vectors of two positions are
"""

from minibert.inspect.attention_maps import Rollout, TextAttention, attentions, rollout
from minibert.inspect.page import AttentionPage, attention_page
from minibert.inspect.positions import PositionSimilarity, position_similarity
from minibert.inspect.sizes import Memory, Part, Summary, summary
from minibert.inspect.statistics import HeadStatistics, head_statistics
from minibert.inspect.tokens import TokenRow, TokenTable, token_table
from minibert.inspect.vectors import Components, WordVectors, pca, token_vectors

__all__ = [
    "AttentionPage",
    "Components",
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
    "head_statistics",
    "pca",
    "position_similarity",
    "rollout",
    "summary",
    "token_table",
    "token_vectors",
]
