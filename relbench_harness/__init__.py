"""RelBench Harness: benchmark and evaluation harness for machine learning on relational databases."""
