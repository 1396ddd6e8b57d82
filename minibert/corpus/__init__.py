"""Pre-training's text.

corpus      from text files to sentences as ids, mapped from the disk
masking     which tokens of a row are to be guessed
rows        pairs of sentences, masked, and the task made of them
"""
