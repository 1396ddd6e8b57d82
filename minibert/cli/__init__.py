"""The `minibert` command.

main           which commands there are, and how each ends
command        what a command is
lines          standard input and output
sources        where texts come from
answers        where answers go, as lines, JSON or a table
files          a file that appears when it is whole
train          fine-tune on a table:
settings       options made from a settings' dataclass
learning_data  the table, its labels as they are learned
balance        what is told of its labels
learning       the run
ending         what to look at, and to do, when it is over
evaluate       how good a classifier is
judged         its answers, and which of them are wrong
classify       the label of each text
verdicts       what a classifier says, in words, JSON and columns
encode         the vector of each text
fill_mask      the likeliest tokens for each [MASK]
tag            the entities of each text
answer         the part of each text that answers a question
zero_shot      labels that are only named
explain        which words speak for what a classifier says
attention      the attention page of a text
tokenize       the tokens of each text
info           what a model is,
memory         and how much memory it takes
check          does the real model come out?
version        versions and machine
"""
