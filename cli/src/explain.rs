//! `organza explain`: what would become of a request, and why.

mod question;
mod story;
