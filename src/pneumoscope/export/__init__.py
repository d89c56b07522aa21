"""L3 [train]: from a finished run to one-file models, and the proof that they decide as Keras does."""
