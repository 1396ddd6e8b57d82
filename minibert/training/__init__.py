"""Training.

batches     what a model learns from: which examples a step takes, and their loss
optimizer   AdamW, its groups, the learning rate's rise and fall
loop        the steps, evaluations, and what is written down
state       what survives a crash
products    the product with weights that `Linear` makes while it is trained
ranks       several processes that train one model
frozen      a head on an encoder that is not trained
report      learning curve and model card
masking, corpus, pretrain_task      pre-training: what is hidden, from which text, in which rows
"""
