//! Everything two processes agree on, on the wire or at rest.
