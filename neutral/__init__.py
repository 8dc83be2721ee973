"""Everything that needs no framework: configuration, data, randomness, weights, evaluation, logs."""
