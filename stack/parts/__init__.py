"""The parts of the stack, one file each: its command, its files on disk, and the check that proves it works."""
