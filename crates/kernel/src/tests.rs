//! The kernel, driven by scripts and by chance.
