"""The fault campaign: real nodes on DDS, one fault after another, and what the robot's controllers executed meanwhile.

A saboteur sits between the robot and the policy: System-1 and System-2 get camera, joints and foresight through its hands.
A witness reads what every node says and what the controllers command. `scenarios` lists the faults as data.

python -m dial_ros.faults --help
"""
