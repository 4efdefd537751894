"""Episodes of a policy in simulation, judged at every control step."""
