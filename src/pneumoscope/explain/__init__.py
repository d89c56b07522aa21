"""Explanation methods by name: an image in, a heatmap out."""
