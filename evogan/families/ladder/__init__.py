"""Images by levels of growing size: Denton et al., arXiv:1506.05751."""
