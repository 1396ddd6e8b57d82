"""Pre-training's text, from files to the losses, in this order:

text          text files as documents and sentences
vocabulary    a vocabulary learned from them
masking       which tokens of a row are to be guessed
store         the corpus: sentences as ids, mapped from the disk
spans         which rows it gives, for training and held out
rows          pairs of sentences, masked
task          the two losses of a step, and the evaluation
"""
