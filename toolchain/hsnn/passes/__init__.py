"""Passes: pure functions from one representation to the next, a package for each phase of a build.

========================  ==========================================================================
``trains``                analysis of a hybrid model: spike trains, and what is linear in them
``simulation``            plan and spiking graph to what they do in floating point on samples
``rewrite``               hybrid model to hybrid model
``partition``             hybrid model to plan: host segments and spiking graphs
``quantization``          spiking graph to integer network
``mapping``               integer network to timesteps and neurocores of a chip
========================  ==========================================================================

Each imports only those above it. A build runs them in the order rewrite, partition, simulation,
quantization, mapping.
"""
