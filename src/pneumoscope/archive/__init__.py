"""Whole archives scored in shards that survive a kill: on Ray, or in processes of this machine."""
