"""Speed and accuracy of the stages, each beside a peer in the same run."""
