//! The agent's side of the wire to its coordinator.
