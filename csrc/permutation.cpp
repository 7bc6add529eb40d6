// permutation
