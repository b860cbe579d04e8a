//! `organza demo`: the shop as real processes, each with a proxy of its own, and a modest load.

pub mod shop;
pub mod view;
