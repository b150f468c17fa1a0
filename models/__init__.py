"""What it is for: layers and models whose forward and backward are kernels."""
