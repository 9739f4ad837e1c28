"""Training: text, vocabulary, model, checkpoints and the loop that builds them."""
