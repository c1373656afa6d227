"""Reports: text tables, JSON and one self-contained HTML page.

``view`` makes the tables once; ``text`` and ``html`` show them. What they tell is measured in ``layers``, which
compares integers with floats, in ``weights`` and in ``facts``; ``graph_view`` and ``raster`` draw.
"""
