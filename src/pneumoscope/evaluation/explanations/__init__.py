"""Tests of explanations: perturbation, randomisation, agreement."""
