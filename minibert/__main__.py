"""`python -m minibert`: the same as the `minibert` command."""

from minibert.cli.main import main

main()
