//! The provisioners that come with Kiln, one file each.
