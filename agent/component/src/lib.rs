//! What a thing that runs on an agent is: traits, steps with undo, child processes, scratch space.
