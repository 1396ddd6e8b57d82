"""Behind the tokenizer: what it takes, what it knows, and who cuts the text.

inputs           what a text is, and what is refused
characters       what kind of character is this?
byte_pairs       RoBERTa's tokenizer, from scratch; WordPiece is a chapter of its own
kind             which kind of tokenizer a folder holds
reading          what all kinds have in common, and then, kind by kind:
wordpiece_files  tokenizer.json, or vocab.txt with tokenizer_config.json
byte_pair_files  tokenizer.json, or vocab.json and merges.txt with tokenizer_config.json
unigram_files    tokenizer.json
source           what these three hand on
added            tokens that joined the vocabulary later
frame            the special tokens around a text and its pair, as a file states them
vocabulary       what the files say, in one plain object
roles            what can be asked about it, by the names of transformers
matched          tokens that are found in a text before anything is cut
backends         two ways to cut a text into pieces:
python_backends  ours
rust             the Rust library's
truncation       what stays of a text that is too long
windows          such a text in pieces that overlap
words            the words of a text, as data sets of tagged words have them
writing          the files that transformers reads
"""
