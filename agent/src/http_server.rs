//! The HTTP server beside the guest, which serves its cloud-init or kickstart.
