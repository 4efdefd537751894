"""What a robot is: embodiment, URDF, kinematics, rotations."""
