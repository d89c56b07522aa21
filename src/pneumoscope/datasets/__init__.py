"""L3: radiographs on disk: layout, patient keys, manifests, splits, audit, fetch."""
