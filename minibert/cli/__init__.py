"""The `minibert` command."""
