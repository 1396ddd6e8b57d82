"""What users call.

text_classifier        fine-tune on texts and labels, predict, save; behind it:
problems               one label, several, or a number
labels                 the labels in their order, with ids and weights,
label_values           and what may be one
training_data          texts, labels and weights, made ready
held_out               what its outputs for other texts are worth
token_classifier       the entities of a text, a tag for each word; behind it:
tagged_words           sentences to learn from, checked
word_pieces            a text in pieces that know their words
entities               from the scores of pieces to spans
question_answerer      the part of a text that answers a question; behind it:
passages               a question and a text as rows, in windows
spans                  from scores of tokens to answers
span_training          what it is trained and evaluated on
text_encoder           texts to vectors; behind it:
sentence_transformers  the folders of that library
fill_mask              the likeliest tokens for [MASK]
zero_shot              classes that are named when they are asked for

What they share:

opening                what a model and its settings must be
estimator              scikit-learn's conventions
settings               those of the tasks that learn, made into a recipe
starting               where these start: a trained head, or a new one
finetuned              how they begin, end, are saved and loaded
trained                the same for tasks that do not learn
"""
