"""Signal quality: masks, quality indices, wear detection, channel status."""
