//! What every demo shows, whatever runs behind it: a shop that plays by itself, and how a person changes rows.

use std::time::Duration;

use anyhow::Result;
use clap::{Arg, ArgMatches, value_parser};
use rowcast_postgres::{ConnectorConfig, Session};
use tokio::sync::watch;

use super::shop::{self, Dice};
use crate::stop;

/// `--traffic [N]`
pub fn traffic_arg() -> Arg {
    Arg::new("traffic")
        .long("traffic")
        .value_name("N")
        .value_parser(value_parser!(f64))
        .num_args(0..=1)
        .default_value("0")
        .default_missing_value("1")
        .help("Plays a believable shop at N changes a second (1 if N is left out)")
}

/// Changes a second; 0 plays nothing.
pub fn traffic(arguments: &ArgMatches) -> Result<f64> {
    let traffic = arguments.get_one::<f64>("traffic").copied().unwrap_or_default();
    anyhow::ensure!(
        (0.0..=100_000.0).contains(&traffic),
        "--traffic takes changes a second, 0 to 100000"
    );
    Ok(traffic)
}

/// How a person changes rows by this `psql` command line, and whether rows change by themselves.
pub fn invitation(psql: &str, traffic: f64) -> String {
    let shop = match traffic {
        0.0 => "`--traffic` plays a shop by itself.".to_owned(),
        _ => format!("A shop is playing {traffic} change(s) a second."),
    };
    format!(
        "Open the page, then change a row from anywhere:

  {psql} -c \"UPDATE orders SET status = 'shipped', updated_at = now() WHERE id = 1\"
  {psql} -c \"INSERT INTO orders (customer_name, product_name, status) VALUES ('Ada Lovelace', 'Desk lamp', 'pending')\"

{shop}"
    )
}

/// Runs the shop's statements in the database of this connector until `stop`. A lost connection ends the show, not the demo.
pub async fn play_shop(connector_json: String, changes_per_second: f64, mut stop: watch::Receiver<bool>) {
    if changes_per_second == 0.0 {
        return;
    }
    if let Err(error) = play(&connector_json, changes_per_second, &mut stop).await {
        eprintln!("the shop has closed: {error:#}");
    }
}

async fn play(connector_json: &str, changes_per_second: f64, stop: &mut watch::Receiver<bool>) -> Result<()> {
    let config = ConnectorConfig::from_json(connector_json)?;
    let mut database = Session::open(&config, "rowcast demo shop").await?;
    let mut dice = Dice(std::process::id().into());
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / changes_per_second));
    loop {
        tokio::select! {
            () = stop::told_to_stop(stop) => return Ok(()),
            _ = pace.tick() => database.execute(&shop::statement(dice.throw())).await?,
        };
    }
}
