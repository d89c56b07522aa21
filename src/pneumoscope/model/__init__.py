"""The one-file model: contract, package, runtime, classifier and the prediction it gives."""
