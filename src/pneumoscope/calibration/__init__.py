"""Between training and export [train]: scores of images that nothing was trained on in, ``calibration.json`` out."""
