//! Tables of expressions and what they yield.
