"""What is true: operations, their derivatives and proofs, without floats."""
