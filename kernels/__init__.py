"""Loss kernels for permuted targets: a readable reference for every operation."""
