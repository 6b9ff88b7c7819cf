"""The commands beside ``run``: what is done with finished runs, with sweeps and with compilers."""
