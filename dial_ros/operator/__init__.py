"""Node `operator`: a web page that shows what the robot sees and expects, and stops it. It acts through the nodes' services."""
