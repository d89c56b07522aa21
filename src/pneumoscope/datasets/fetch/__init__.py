"""Fetching a public data set and laying it out."""
