"""One trunk for data sets with different labels, after Kang and Herremans 2025."""
