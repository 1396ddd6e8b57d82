"""Behind the tokenizer: what it takes, what it knows, and who cuts the text.

inputs      what a text is, and what is refused
characters  what kind of character is this?
kind        whether it is WordPiece as BERT has it
added       tokens that joined the vocabulary later
reading     tokenizer.json, or vocab.txt with tokenizer_config.json
vocabulary  what these files say, in one plain object
backends    two ways to cut a text into pieces: ours and the Rust library's
truncation  what stays of a text that is too long
writing     the files that transformers reads
"""
