//! The faces: each speaks one protocol, and turns a refusal into its dialect in
//! one match. What they may do is the authority's to say.

pub mod admin;
