"""Metrics, intervals and tests on tables of predictions; knows no model and no file layout."""
