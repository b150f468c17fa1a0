"""What a person reads: pages made from what the stages recorded."""
