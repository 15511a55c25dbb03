//! Fetching files once per machine: cached by checksum, verified, resumed.
