"""Passes: pure functions from one representation to the next, a package for each phase of a build.

========================  ==========================================================================
``rewrite``               hybrid model to hybrid model
``trains``                analysis of a hybrid model: spike trains, and what is linear in them
``partition``             hybrid model to plan: host segments and spiking graphs
``simulation``            plan and spiking graph to what they do in floating point on samples
``quantization``          spiking graph to integer network
``mapping``               integer network to timesteps and neurocores of a chip
========================  ==========================================================================
"""
