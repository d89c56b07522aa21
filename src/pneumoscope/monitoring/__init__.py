"""Has what comes in changed? A month's records against a reference [evaluate]."""
