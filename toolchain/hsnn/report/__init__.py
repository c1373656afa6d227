"""Reports: text tables, JSON and one self-contained HTML page."""
