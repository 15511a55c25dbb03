//! One attempt at a task, from its plan to its outcome.
