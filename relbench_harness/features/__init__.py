"""Features: blocks that read the tables visible to each question and make a matrix of them."""
