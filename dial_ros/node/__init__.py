"""What every node uses: lifecycle, worker, QoS, messages, cameras, rates."""
