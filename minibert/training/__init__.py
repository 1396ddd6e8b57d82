"""Training: batches, optimizer and schedule, the loop."""
