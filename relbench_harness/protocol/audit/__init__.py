"""The audit: checks that prove a method is safe in time, each a small unit that gives one finding."""
