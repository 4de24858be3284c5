"""Processor time of a window by a foundation encoder of braindecode.

``python -m benchmarks.network_encoders`` prints the median of each with 19 electrodes.
"""

import argparse
from time import thread_time

import numpy as np
import torch

from physio.inference.encoder_network import ENCODERS, EncoderNetwork
from physio.models.rbtransformer import single_thread


def milliseconds(encoder: str, channels: int, seconds: int, repeats: int) -> float:
    """Return the median processor time of a window on one thread (ms)."""
    facts = ENCODERS[encoder]
    times = round(seconds * facts.rate)
    network = EncoderNetwork(encoder, channels, times, 2).eval()
    window = torch.randn(1, channels, times)
    took = []
    with single_thread(), torch.no_grad():
        network(window)
        for _ in range(repeats):
            begun = thread_time()
            network(window)
            took.append(thread_time() - begun)
    return 1000 * float(np.median(took))


def main() -> None:
    """Print the time of each encoder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=19)
    parser.add_argument("--repeats", type=int, default=40)
    given = parser.parse_args()
    for encoder in ENCODERS:
        for seconds in (1, 2, 4):
            took = milliseconds(encoder, given.channels, seconds, given.repeats)
            print(f"{encoder} {seconds} s, {given.channels} channels: {took:.1f} ms")


if __name__ == "__main__":
    main()
