"""What is wrong with a data folder: duplicates, leaks, label errors, shortcuts."""
