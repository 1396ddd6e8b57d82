"""What users call.

text_classifier  fine-tune on texts and labels, predict, save
text_encoder     texts to vectors
"""
