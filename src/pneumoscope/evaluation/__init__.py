"""A model or a table of predictions measured on labelled images: figures, intervals, plots, report [evaluate]."""
