"""What users call.

text_classifier        fine-tune on texts and labels, predict, save
token_classifier       the entities of a text, a tag for each word; behind it:
tagged_words           sentences to learn from, checked
word_pieces            a text in pieces that know their words
entities               from the scores of pieces to spans
text_encoder           texts to vectors
fill_mask              the likeliest tokens for [MASK]
zero_shot              classes that are named when they are asked for
question_answerer      the part of a text that answers a question
passages               a question and a text as rows, in windows
spans                  from scores of tokens to answers
span_training          what question_answerer is trained and evaluated on
sentence_transformers  the folders of that library, for text_encoder
"""
