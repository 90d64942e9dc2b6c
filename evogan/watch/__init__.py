"""A live page over a store: runs, their walls of galleries, what trains now. Only reads."""
