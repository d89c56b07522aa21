"""Labelled radiographs on disk [data]: sources, layout, manifests, splits, audit, fetch."""
