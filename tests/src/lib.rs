//! Tests of the whole: tidy, side by side, guests.
