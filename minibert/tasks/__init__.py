"""What users call.

text_classifier        fine-tune on texts and labels, predict, save
text_encoder           texts to vectors
fill_mask              the likeliest tokens for [MASK]
zero_shot              classes that are named when they are asked for
question_answerer      the part of a text that answers a question
passages               a question and a text as rows, in windows
spans                  from scores of tokens to answers
span_training          what question_answerer is trained and evaluated on
sentence_transformers  the folders of that library, for text_encoder
"""
