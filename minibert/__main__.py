"""`python -m minibert`: the same as the `minibert` command."""

from minibert.cli import main

main()
