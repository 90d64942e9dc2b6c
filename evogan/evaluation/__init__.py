"""Trial -> evaluation."""
