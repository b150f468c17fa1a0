"""What is learned: the data of a task as batches, its model, its loss and its metrics."""
