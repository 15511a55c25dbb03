//! Template text to build plans, in passes.
