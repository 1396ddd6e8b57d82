"""What users call.

text_classifier        fine-tune on texts and labels, predict, save
text_encoder           texts to vectors
sentence_transformers  the folders of that library, for text_encoder
"""
