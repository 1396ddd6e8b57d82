"""What strangers, bad files and long runs do to minibert, and the one line each must end in."""
