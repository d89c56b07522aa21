"""From a calibrated run to one-file models, and the proof that they decide as Keras does [train]."""
