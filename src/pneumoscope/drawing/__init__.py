"""Pictures out: heatmaps over radiographs, labelled panels, PNG."""
