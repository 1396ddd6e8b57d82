"""Behind the tokenizer: what it knows and who cuts the text.

characters  what kind of character is this?
vocabulary  what the tokenizer's files say, in one plain object
backends    two ways to cut a text into pieces: ours and the Rust library's
"""
