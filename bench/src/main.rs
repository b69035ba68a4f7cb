//! The numbers, each beside its peer from the same run.
mod client;
mod histogram;
mod load;
mod mark;
mod process;
mod websocket;
use clap::Parser as _;
#[derive(clap::Parser)]
enum Cli { Load(load::LoadArgs) }
fn main() -> anyhow::Result<()> { let Cli::Load(a) = Cli::parse(); load::run(&a) }
