"""Which nodes run, with which values: graph, runner, launch descriptions, Gazebo, security policy."""
