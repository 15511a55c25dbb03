//! The one table of the components that come with Kiln.
