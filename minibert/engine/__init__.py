"""Behind `optimize`: the same model, made fast for inference.

optimize    a copy of a model with other bodies in it
exchange    the one way in which a model is changed from outside
bodies      other bodies for `Linear`
integers    those that multiply 8-bit integers
rule        which body serves a precision on a device
probe       a body is tried before it is trusted
attention   a kernel for packed rows, on GPUs
graphs      small batches on GPUs, launched at once
compiling   what torch.compile needs to take a model whole
explaining  what tools of attribution need
progress    what long work shows while it runs
host        a batch on its way to a GPU, which is waited for as seldom as can be
memory      what the process does with memory it has freed
forks       processes that are forked from this one
seeds       random numbers that follow from a seed, in every thread
rows        rows of ids, and through a model in batches of like lengths
reading     texts as they come, in lists of a bounded size
long_texts  texts longer than a row, cut or read in windows
streams     any number of texts through a model
"""
