"""The command line: thin commands, each imported when it is asked for."""
