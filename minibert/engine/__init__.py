"""Behind `optimize`: the same model, made fast for inference.

bodies      other bodies for `Linear`, and the rule that chooses one
optimize    a copy of a model with these bodies
streams     any number of texts through a model
"""
