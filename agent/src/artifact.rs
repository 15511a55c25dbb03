//! Artifacts made of files on this machine.
