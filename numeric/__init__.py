"""How it is computed: kernels from derivations, and checks of kernels."""
