"""What an example or a row may see: the one room that compares times.

`paths` enumerates foreign-key paths, `children` keeps rows by parent in time order, `visibility` says from when a row with its
whole path can be seen. On these stand histories with running totals, as-of joins, interactions with items and the labels whose
windows have closed. Elsewhere only the sampler's kernels, the feature stream and `protocol.stages` compare times.
"""
