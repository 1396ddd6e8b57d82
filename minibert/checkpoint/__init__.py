"""Behind `from_pretrained`: from a name to a folder, and from its files to a model and back.

hub         a folder, an alias or a hub name -> a folder
files       reading a model folder and writing one
names       Hugging Face's names of the weights and ours, in one table
pretrained  what every model can do: load and save
"""
