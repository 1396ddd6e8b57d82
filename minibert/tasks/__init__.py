"""What users call.

text_classifier        fine-tune on texts and labels, predict, save
text_encoder           texts to vectors
fill_mask              the likeliest tokens for [MASK]
zero_shot              classes that are named when they are asked for
sentence_transformers  the folders of that library, for text_encoder
"""
