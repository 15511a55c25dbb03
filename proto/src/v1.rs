//! Generated from the files in `wire`: messages and services, version 1.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::large_enum_variant,
    clippy::uninlined_format_args,
    clippy::semicolon_if_nothing_returned,
    clippy::allow_attributes_without_reason,
    reason = "the code is generated; its documentation stands in the .proto files"
)]

tonic::include_proto!("kiln.v1");
