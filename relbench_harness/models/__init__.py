"""Fitted models as folders: what is kept of a run's predictor, and predictions from it on the database as it is now."""
