"""BERT from scratch in plain PyTorch, to be read like a book and used like an engine."""

from minibert.classifier import TextClassifier
from minibert.config import BertConfig
from minibert.heads import (
    BertForClassification,
    BertForQuestionAnswering,
    BertForTokenClassification,
)
from minibert.inference import optimize
from minibert.model import BertModel
from minibert.pretraining import BertForMaskedLM, BertForPreTraining
from minibert.text_encoder import TextEncoder
from minibert.tokenizer import WordPieceTokenizer
from minibert.weights import LoadReport

__version__ = "0.1.0"

__all__ = [
    "BertConfig",
    "BertForClassification",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForTokenClassification",
    "BertModel",
    "LoadReport",
    "TextClassifier",
    "TextEncoder",
    "WordPieceTokenizer",
    "optimize",
]
