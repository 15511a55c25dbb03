//! Admission, the Raft ledger, gRPC, reconcilers, events.
