//! The tests of the model: stories told as tables, and laws checked under random commands.

mod farm;
mod identity;
mod images;
mod laws;
mod lifecycle;
mod limits;
mod scheduling;
