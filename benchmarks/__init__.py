"""What Egret costs, beside what else one could pick: `python -m benchmarks` (docs/performance/)."""
