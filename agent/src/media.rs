//! CDs and floppies made for a guest.
