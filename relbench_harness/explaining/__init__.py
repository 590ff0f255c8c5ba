"""Pages about what a fitted method looks at: the command, the parts of a page, sentences, notebooks."""
