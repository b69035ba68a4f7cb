//! THE PRODUCT. Command line, configuration, and the composition of the parts: the only crate that knows all of them.

mod capture;
pub mod cli;
pub mod demo;
pub mod files;
pub mod health;
mod logs;
mod opening;
pub mod operator;
pub mod pages;
pub mod ready;
pub mod run;
mod serving;
pub mod settings;
pub mod stop;
pub mod tail;
