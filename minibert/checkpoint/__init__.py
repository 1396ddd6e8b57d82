"""Behind `from_pretrained`: from a name to a folder, and from its files to a model and back.

sizes        the published shapes, and their names on the hub
hub          a folder, an alias or a hub name -> a folder
json_text    JSON, read strictly
schema       what the values of a JSON file may be
arguments    what an argument of a function, or a setting, may be
files        reading the files of a model folder
folders      writing one, whole or not at all
places       where it is to be, and what is wrong with that
replacing    a finished folder takes the place of an old one
locks        one writer at a time
config_json  Hugging Face's keys and the fields of a config
names        Hugging Face's names of the weights and ours, in one table
tensors      the tensors of a file, checked and made fp32
pretrained   what every model can do: load and save
labelled     what a head with labels adds: its own labels, or new ones
"""
