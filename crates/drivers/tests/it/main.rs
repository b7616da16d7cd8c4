//! Providers as they are met: requests and answers of each format against a server that says what a row says
//! (`server`), providers that mean harm (`hostile`), and a server that is not ours (`real`).
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods)] // tests start servers

#[path = "../aimock/start.rs"]
mod aimock;

mod egress;
mod formats;
mod hostile;
mod passed;
mod real;
mod server;
