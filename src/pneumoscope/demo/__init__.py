"""Real radiographs judged by the built-in model and shown on a page and on a sheet."""
