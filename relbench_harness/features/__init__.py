"""Features: blocks that read the tables visible to each example and make a matrix of them."""
