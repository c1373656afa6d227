"""What tests of several folders share; ``pythonpath`` of the test configurations makes it importable."""
