"""The benchmarks: speed of proofs, of the report and of the kernels, in one run."""
