"""Several estimates of one thing made into one."""

import numpy as np

from physio.core.block import Array


def fuse(mean: Array, sd: Array, prior_mean: Array, prior_sd: Array) -> Array:
    """Multiply what experts say, and divide out the prior they share but once.

    Each expert's answer holds the prior: what is known before looking. Plain
    inverse-variance weighting would count it once for each of them.

    Parameters
    ----------
    mean, sd
        What each expert says of each dimension, shape (k, d); NaN where it says
        nothing.
    prior_mean, prior_sd
        What each knew before, shape (k, d); where experts differ in it, the fused
        prior is the mean of the precisions, and of precision times mean, of those
        present.

    Returns
    -------
    ndarray
        Mean and standard deviation, shape (2, d); NaN where no expert says anything.

    Notes
    -----
    Given the rating, experts are taken as independent. An expert less certain than its
    own prior counts as certain as the prior, lest the product cease to be a density;
    a single one is passed on as it is.
    """
    here = ~np.isnan(mean) & ~np.isnan(sd)
    out = np.full((2, mean.shape[1]), np.nan)
    for d in range(mean.shape[1]):
        rows = np.flatnonzero(here[:, d])
        if len(rows) == 1:
            out[:, d] = mean[rows[0], d], sd[rows[0], d]
        elif len(rows):
            zero = prior_sd[rows, d] ** -2.0
            own = np.maximum(sd[rows, d] ** -2.0, zero)
            gained = own * mean[rows, d] - zero * prior_mean[rows, d]
            total = zero.mean() + np.sum(own - zero)
            shift = np.mean(zero * prior_mean[rows, d]) + np.sum(gained)
            out[:, d] = shift / total, total**-0.5
    return out


def temper(
    mean: Array, sd: Array, prior_mean: Array, prior_sd: Array, share: float
) -> tuple[Array, Array]:
    """Take ``share`` (0 to 1) of what an expert adds to its prior.

    At 0 the prior comes out, at 1 the expert; between them, the prior times the
    ``share``-th power of what the expert divided by the prior says.
    """
    zero, own = prior_sd**-2.0, sd**-2.0
    total = (1 - share) * zero + share * own
    shift = (1 - share) * zero * prior_mean + share * own * mean
    return shift / total, total**-0.5
