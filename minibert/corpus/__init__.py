"""Pre-training's text, from files to the losses, each resting on those above it:

text          text files as documents and sentences
vocabulary    a vocabulary learned from them
masking       which tokens of a row the model has to guess
store         the corpus: sentences as ids, mapped from the disk
spans         which rows it gives, for training and held out
rows          pairs of sentences, masked
task          the losses of a step, and the evaluation
starting      a new model, or one that is trained further
"""
