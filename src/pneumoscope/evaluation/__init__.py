"""L3 [evaluate]: judging predictions: metrics, intervals, calibration, operating points, plots, report.

Nothing here knows a model: the input is a :class:`~pneumoscope.statistics.table.PredictionTable`.
"""
