"""What the hidden states look like together: clusters, similarity, dimension, trajectories."""
