"""Training.

recipe      how to train: a frozen set of numbers, checked where it is made
batches     what a model learns from: which examples a step takes, and their loss
optimizer   AdamW, its groups, the learning rate's rise and fall
steps       a step: gradients of a batch, and the optimizer
readings    losses on their way from a GPU, read some steps late
loop        the run: steps, evaluations, and what is written down
history     losses and evaluations of a run
state       what survives a crash
speed       what makes a step fast, put in place from outside
signals     Ctrl-C and SIGTERM, noted
ranks       several processes that train one model
finetune    which weights of a pre-trained model learn, and how it is evaluated on the way
spans       answers in a text: what a row's loss is
frozen      a head on an encoder that is not trained
tags        the tag of each word: its loss, and how good a model is at it
tag_schemes tags that mark entities, and how many of these were found
metrics     how good predictions are, in the numbers that people report
results     predictions class by class, their confusion and calibration: text, Markdown, JSON
report      pictures: the learning curve, confusion, calibration
model_card  the model's card
"""
