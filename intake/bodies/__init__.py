"""Request bodies: read within limits, unpacked, split into checks."""
