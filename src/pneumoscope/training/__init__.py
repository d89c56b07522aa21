"""Recipes, batches, augmentation, networks, fitting and resuming [train]. Backend-neutral Keras 3."""
