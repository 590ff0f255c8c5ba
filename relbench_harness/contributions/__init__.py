"""What comes in from others and what goes out to other boards: checks of contributed results, submissions, dataset cards."""
