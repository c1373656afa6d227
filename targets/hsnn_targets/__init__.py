"""Back ends of hsnn: reference, emulator, Lava simulation and Loihi 2 boards."""
