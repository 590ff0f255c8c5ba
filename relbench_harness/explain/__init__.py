"""What a predictor looks at, down to tables, columns and rows, and whether that is true."""
