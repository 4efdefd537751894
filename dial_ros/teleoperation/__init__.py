"""Node `teleoperation`: a person moves one hand of the simulated robot by velocities, from the operator page or a gamepad."""
