"""Sampling: settings, the plan of what is missing, adaptive stopping, and the loop that draws."""
