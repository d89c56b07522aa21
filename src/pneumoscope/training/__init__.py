"""L3 [train]: input pipeline, augmentation, networks, fitting and resuming. Backend-neutral Keras 3."""
