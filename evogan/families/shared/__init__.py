"""Genes that several families have, by what they are about."""
