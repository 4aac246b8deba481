"""What a server tells its operator: logs, numbers, the state of its clock."""
