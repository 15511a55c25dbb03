//! The post-processors that come with Kiln, one file each.
