"""Studies beyond a success rate: probes, sweeps, foresight quality, smoothness, open loop."""
