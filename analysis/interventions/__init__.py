"""What a change of hidden states does to the answer."""
