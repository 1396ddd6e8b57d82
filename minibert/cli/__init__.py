"""The `minibert` command.

main   the commands, and how each ends
lines  standard input and output
"""
