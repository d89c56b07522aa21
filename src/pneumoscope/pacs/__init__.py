"""The hospital gateway: DICOM radiographs in, coded results out, nothing lost on the way."""
