"""Fault injection: real nodes on DDS, one fault after another, and what the robot's controllers commanded meanwhile.

A fault injector relays streams between the robot and the policy and corrupts, delays or drops their messages. A monitor records
what every node reports and every set-point of the controllers at 1 kHz, which is judged against the joint limits.

python -m dial_ros.faults --help
"""
