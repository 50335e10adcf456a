"""Training on the CPU: two threads, dropout masks, gradients of large embeddings."""
