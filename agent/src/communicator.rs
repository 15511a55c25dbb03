//! The communicators that come with Kiln, their options, and how a guest is reached.
