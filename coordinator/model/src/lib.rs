//! The state of the farm: pure and deterministic.
