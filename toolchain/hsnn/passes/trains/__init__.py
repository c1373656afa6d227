"""Analysis: which values are spike trains, and how the operators between neurons act on them."""
