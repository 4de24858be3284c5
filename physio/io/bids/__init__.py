"""The Brain Imaging Data Structure (BIDS): names, sidecars, export, reading."""
