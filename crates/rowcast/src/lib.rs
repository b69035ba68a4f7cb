//! THE PRODUCT. Command line, configuration, and the composition of the parts: the only crate that knows all of them.

pub mod cli;
pub mod demo;
pub mod files;
pub mod operator;
pub mod pages;
pub mod run;
pub mod settings;
pub mod tail;
