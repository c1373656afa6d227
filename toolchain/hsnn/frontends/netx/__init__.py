"""Networks of lava-dl's netx: reading ``.net`` files, turning them into hybrid models, and writing them."""
