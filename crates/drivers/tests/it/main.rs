//! Providers as they are met: requests and answers of each format against a server that says what a row says
//! (`server`), and providers that mean harm (`hostile`).
#![forbid(unsafe_code)]

mod formats;
mod hostile;
mod passed;
mod server;
