"""The cross-entropy of permuted targets as a kernel, beside a readable reference."""
