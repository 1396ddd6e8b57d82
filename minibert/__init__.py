"""BERT from scratch in plain PyTorch, to be read like a book and used like an engine."""

from minibert import _programs  # before PyTorch
from minibert.checkpoint.names import LoadReport
from minibert.config import BertConfig
from minibert.engine.optimize import optimize
from minibert.heads import (
    BertForClassification,
    BertForQuestionAnswering,
    BertForTokenClassification,
)
from minibert.model import BertModel
from minibert.pretraining import BertForMaskedLM, BertForPreTraining
from minibert.tasks.fill_mask import FillMask
from minibert.tasks.question_answerer import QuestionAnswerer
from minibert.tasks.text_classifier import TextClassifier
from minibert.tasks.text_encoder import TextEncoder
from minibert.tasks.token_classifier import TokenClassifier
from minibert.tasks.zero_shot import ZeroShotClassifier
from minibert.tokenizer import Tokenizer, WordPieceTokenizer

__version__ = "0.1.0"

__all__ = [
    "BertConfig",
    "BertForClassification",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForTokenClassification",
    "BertModel",
    "FillMask",
    "LoadReport",
    "QuestionAnswerer",
    "TextClassifier",
    "TextEncoder",
    "TokenClassifier",
    "Tokenizer",
    "WordPieceTokenizer",
    "ZeroShotClassifier",
    "optimize",
]

_programs.imported()
