"""DICOM in and out (the ``dicom`` extra)."""
