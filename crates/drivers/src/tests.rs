//! Tests; see below.
